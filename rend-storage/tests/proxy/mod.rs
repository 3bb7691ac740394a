//! Stands between a client and a server of ours, so that a test can be the network that fails.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// A way to a server that can be cut or frozen.
pub(crate) struct Proxy {
    /// The server's URL with this in its place.
    pub(crate) url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frozen: bool,
    cut: bool,
    open: BTreeMap<u64, [TcpStream; 2]>,
    count: u64,
}

impl Proxy {
    /// A proxy before the server that `url` names by an IP address and a port.
    pub(crate) fn before(url: &str) -> Self {
        let place = url.split("://").nth(1).unwrap().split(['/', '?']).next().unwrap();
        let server = place.rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let (url, serving) = (url.replacen(&server, &own, 1), Arc::clone(&shared));
        // It ends with the process of the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(there) = TcpStream::connect(&server) else { continue };
                let mut state = serving.state.lock().unwrap();
                if state.cut {
                    continue;
                }
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                state.count += 1;
                let number = state.count;
                state.open.insert(number, [clone(&client), clone(&there)]);
                let ways = [(clone(&client), clone(&there)), (there, client)];
                drop(state);
                let halves = ways.map(|(from, to)| {
                    let serving = Arc::clone(&serving);
                    thread::spawn(move || pass(from, to, &serving))
                });
                let serving = Arc::clone(&serving);
                thread::spawn(move || {
                    for half in halves {
                        let _ = half.join();
                    }
                    serving.state.lock().unwrap().open.remove(&number);
                });
            }
        });
        Self { url, shared }
    }

    /// Closes every connection, and each that comes until [`Proxy::mend`].
    pub(crate) fn cut(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.cut = true;
        for stream in state.open.values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.shared.state.lock().unwrap().cut = false;
    }

    /// Keeps every byte back, as a network does that loses packets or a server that is paused.
    pub(crate) fn freeze(&self) {
        self.shared.state.lock().unwrap().frozen = true;
    }

    /// Hands on what was kept back.
    pub(crate) fn thaw(&self) {
        self.shared.state.lock().unwrap().frozen = false;
        self.shared.changed.notify_all();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let state = shared.state.lock().unwrap();
        drop(shared.changed.wait_while(state, |state| state.frozen).unwrap());
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
