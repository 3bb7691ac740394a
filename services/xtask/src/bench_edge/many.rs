//! Many connections at once from one thread: cold clients, idle ones, and such as read slowly.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Failure;
use super::servers::Server;

/// How the first bytes of one body came to many who asked for it at once.
pub(super) struct Cold {
    /// For each client, how long after the first client it had its first byte.
    pub(super) after_first: Vec<Duration>,
    /// From the first request to the first byte of anybody.
    pub(super) first: Duration,
    /// From the first request to the last one.
    pub(super) asked_within: Duration,
}

/// How clients come to one body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coming {
    /// All are connected before the first asks: what is seen is how a fill reaches those who wait for it.
    Connected,
    /// Each connects and asks: what is seen is how a crowd is received as well.
    Arriving,
}

/// Asks `server` for `path` by `clients` connections that come as `coming` says, and holds every body against `expect`.
///
/// Answers are read only when everybody has a first byte: a gigabyte through one loopback would be measured else.
pub(super) fn cold(
    server: &Server,
    path: &str,
    clients: usize,
    coming: Coming,
    expect: &[u8],
) -> Result<Cold, Failure> {
    let request = server.request(path, "close");
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut streams = match coming {
        Coming::Connected => connected(server.at, clients)?,
        Coming::Arriving => Vec::with_capacity(clients),
    };
    if coming == Coming::Connected {
        // The last of them are accepted a moment after their connections stand.
        std::thread::sleep(SETTLE);
    }
    let begun = Instant::now();
    for n in 0..clients {
        if coming == Coming::Arriving {
            streams.extend(connected(server.at, 1)?);
        }
        // A request is smaller than any socket's buffer.
        streams[n].write_all(request.as_bytes())?;
        // Told once, and read later: the client shares the machine with what it measures.
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&poll, &streams[n], epoll::EventData::new_u64(n as u64), once)?;
    }
    let asked_within = begun.elapsed();
    let mut firsts: Vec<Option<Instant>> = vec![None; clients];
    let mut events = Vec::with_capacity(EVENTS);
    let mut left = clients;
    while left > 0 {
        wait(&poll, &mut events, begun)?;
        let now = Instant::now();
        for event in events.drain(..) {
            firsts[usize::try_from(event.data.u64())?] = Some(now);
            left -= 1;
        }
    }
    let mut buffer = vec![0; 256 << 10];
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE))?;
        whole(stream, &mut buffer, expect)?;
    }
    let mut firsts: Vec<Instant> = firsts.into_iter().flatten().collect();
    firsts.sort();
    let first = firsts.first().copied().ok_or("nobody asked")?;
    let after_first = firsts.iter().map(|at| *at - first).collect();
    Ok(Cold { after_first, first: first - begun, asked_within })
}

/// Reads an answer and holds its body against `expect`.
fn whole(stream: &mut TcpStream, buffer: &mut [u8], expect: &[u8]) -> Result<(), Failure> {
    let mut head = Vec::new();
    let mut at: Option<usize> = None;
    loop {
        let read = stream.read(buffer)?;
        if read == 0 {
            break;
        }
        let mut bytes = &buffer[..read];
        if at.is_none() {
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            at = Some(0);
            bytes = &buffer[read - (head.len() - end - 4)..read];
        }
        let from = at.unwrap_or(0);
        if expect.get(from..from + bytes.len()) != Some(bytes) {
            return Err("a cold client got other bytes".into());
        }
        at = Some(from + bytes.len());
    }
    if at == Some(expect.len()) { Ok(()) } else { Err("a cold client got less than the whole body".into()) }
}

/// What connections cost a server in memory, in KiB each.
pub(super) struct Held {
    pub(super) connections: usize,
    pub(super) kib_before: u64,
    pub(super) kib_with: u64,
}

impl Held {
    /// KiB for each connection.
    pub(super) fn kib_each(&self) -> f64 {
        self.kib_with.saturating_sub(self.kib_before) as f64 / self.connections as f64
    }
}

/// Holds `count` connections that were answered once and say nothing more.
pub(super) fn idle(server: &Server, path: &str, count: usize) -> Result<Held, Failure> {
    let kib_before = server.memory_kib();
    let request = server.request(path, "keep-alive");
    let mut buffer = vec![0; 4096];
    let mut streams = Vec::with_capacity(count);
    for number in 1..=count {
        // One after the other: a server may close who connects and says nothing for long.
        streams.extend(connected(server.at, 1)?);
        let Some(stream) = streams.last_mut() else { break };
        stream.write_all(request.as_bytes())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut seen = 0;
        // The answer is a kibibyte and its head.
        while seen < 1200 {
            match stream.read(&mut buffer)? {
                0 => return Err(format!("{}: connection {number} was closed after {seen} bytes", server.name).into()),
                read => seen += read,
            }
        }
    }
    Ok(Held { connections: count, kib_before, kib_with: server.memory_kib() })
}

/// Holds `count` connections that asked for a large body and take only its first bytes.
pub(super) fn slow(server: &Server, path: &str, count: usize) -> Result<Held, Failure> {
    let kib_before = server.memory_kib();
    let mut streams = connected(server.at, count)?;
    let request = server.request(path, "keep-alive");
    let mut buffer = [0; 512];
    for stream in &mut streams {
        stream.write_all(request.as_bytes())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut buffer)?;
    }
    std::thread::sleep(SETTLE);
    Ok(Held { connections: count, kib_before, kib_with: server.memory_kib() })
}

/// As many connections as this process may hold beside what it needs itself, at most `count`.
pub(super) fn possible(count: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    count.min(usize::try_from(now.saturating_sub(200)).unwrap_or(usize::MAX))
}

fn connected(at: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let one = |_| {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    (0..count).map(one).collect()
}

fn wait(poll: &impl std::os::fd::AsFd, events: &mut Vec<epoll::Event>, begun: Instant) -> Result<(), Failure> {
    if begun.elapsed() > PATIENCE {
        return Err("not every client had a first byte in time".into());
    }
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    match epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&second)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Events that are taken at once.
const EVENTS: usize = 256;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long a server may go on filling sockets before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(500);
