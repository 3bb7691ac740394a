//! Events reach a receiver that fails, is silent and is away, through the death of the process that sends them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::common::{Up, good_clip, pause};

/// A receiver in a thread of its own. Of each event the first try fails, in one of three ways; the next is taken.
struct Receiver {
    url: String,
    tries: Arc<Mutex<BTreeMap<String, u32>>>,
    taken: Arc<Mutex<BTreeSet<u64>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let (tries, taken) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(BTreeSet::new())));
        let (counts, all) = (Arc::clone(&tries), Arc::clone(&taken));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (counts, all) = (Arc::clone(&counts), Arc::clone(&all));
                std::thread::spawn(move || answer(stream.unwrap(), &counts, &all));
            }
        });
        Self { url, tries, taken }
    }
}

/// Answers one message. A sender that dies in the middle ends it without a word.
fn answer(mut stream: TcpStream, tries: &Mutex<BTreeMap<String, u32>>, taken: &Mutex<BTreeSet<u64>>) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
    let mut body = vec![0; field("content-length").parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    let (id, signature) = (field("webhook-id").to_owned(), field("webhook-signature"));
    assert!(signature.starts_with("v1,"), "{signature}");
    if id.starts_with("test_") {
        return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok();
    }
    let seq = serde_json::from_slice::<Value>(&body).unwrap()["data"]["seq"].as_u64().unwrap();
    let count = {
        let mut tries = tries.lock().unwrap();
        let count = tries.entry(id).or_default();
        *count += 1;
        *count
    };
    match (count, seq % 8) {
        (1, 0) => stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").ok(),
        // The connection breaks without an answer.
        (1, 3) => None,
        // It is silent for longer than anybody waits.
        (1, 5) => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).ok().map(drop)
        }
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
            taken.lock().unwrap().insert(seq);
            Some(())
        }
    }
}

#[test]
fn every_event_reaches_a_receiver_that_fails_though_the_sender_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let vars = [("REND_WEBHOOK_ALLOW_LOOPBACK", "true")];
    let up = Up::start(&data, &vars);
    let receiver = Receiver::start();
    let made = up.rend_ok(&["webhook", "create", &receiver.url]);
    let endpoint = made.lines().next().unwrap().to_owned();
    assert!(made.lines().nth(1).unwrap().starts_with("whsec_"));
    assert!(up.rend_ok(&["webhook", "test", &endpoint]).contains("took it"));
    let clip = good_clip(folder.path(), 4);
    let mut ids = Vec::new();
    // Each time the process dies while messages are under way.
    let mut up = up;
    for _ in 0..3 {
        let asset = up.rend_ok(&["upload", clip.to_str().unwrap(), "--json"]);
        ids.push(serde_json::from_str::<Value>(&asset).unwrap()["id"].as_str().unwrap().to_owned());
        let known = receiver.tries.lock().unwrap().len();
        for _ in 0..200 {
            if receiver.tries.lock().unwrap().len() > known {
                break;
            }
            pause();
        }
        up.kill();
        up = Up::start(&data, &vars);
    }
    for id in &ids {
        for _ in 0..1200 {
            if up.asset(id)["playable_state"] == "hls_ready" {
                break;
            }
            pause();
        }
    }
    // Nothing waits any more, and the log was read to its end.
    let told = || {
        let listed: Value = serde_json::from_str(&up.rend_ok(&["webhook", "ls", "--json"])).unwrap();
        let cursor = listed["cursor"].as_u64().unwrap();
        (listed["enabled"] == true && listed["waiting"] == 0).then_some(cursor)
    };
    let mut last = None;
    for _ in 0..2400 {
        let now = told();
        if let Some(head) = now.filter(|head| *head >= 20 && now == last) {
            let taken = receiver.taken.lock().unwrap();
            // The log of the one organisation has no gaps, and began after the endpoint was made.
            let missing: Vec<_> = (1..=head).filter(|seq| !taken.contains(seq)).collect();
            assert!(missing.is_empty(), "{missing:?} did not arrive");
            return;
        }
        last = now;
        for _ in 0..10 {
            pause();
        }
    }
    panic!("not everything arrived: {:?}", up.rend_ok(&["webhook", "ls", "--json"]));
}
