//! How requests share connections: one after the other without waiting, many at once over HTTP/2, in pieces, and no more connections
//! than may be.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{ASSET, Origin, PAGE, Rig, cookie, head_text, noise, parse, request};

const SEGMENT: &str = "hls/720p/segment_00003.m4s";

fn asked(path: &str, more: &str) -> String {
    format!("GET /v/{ASSET}/{path} HTTP/1.1\r\nhost: a\r\ncookie: {}\r\n{more}\r\n", cookie(ASSET))
}

/// Takes one answer off a connection.
async fn answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_come_before_the_answers_are_answered_in_their_order() {
    let rig = Rig::start().await;
    for (path, body) in [("poster.jpg", "a picture"), ("opener.mp4", "a film"), ("thumbs.vtt", "WEBVTT")] {
        rig.origin.put(ASSET, path, body).await;
    }
    let mut stream = TcpStream::connect(rig.public).await.unwrap();
    let mut text = String::new();
    // The first ones are misses and the last ones hits: a hit may not overtake.
    for path in ["poster.jpg", "opener.mp4", "thumbs.vtt", "poster.jpg"] {
        text += &asked(path, "");
    }
    text += "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answered = String::new();
    stream.read_to_string(&mut answered).await.unwrap();
    assert_eq!(answered.matches("HTTP/1.1 200 OK").count(), 5, "{answered}");
    let mut at = 0;
    for body in ["a picture", "a film", "WEBVTT", "a picture", "uptime_seconds"] {
        at += answered[at..].find(body).unwrap_or_else(|| panic!("{body} comes out of order: {answered}"));
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_in_one_packet_are_answered_one_by_one() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, noise(40_000)).await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    for path in [SEGMENT, "poster.jpg"] {
        rig.get(path).await;
    }
    let mut stream = TcpStream::connect(rig.public).await.unwrap();
    let kinds =
        [("poster.jpg", "", 9), (SEGMENT, "", 40_000), (SEGMENT, "range: bytes=5-14\r\n", 10), ("no.such", "", 0)];
    let mut text = String::new();
    for n in 0..200 {
        let (path, more, _) = kinds[n % kinds.len()];
        text += &asked(path, more);
    }
    let (mut from, mut to) = stream.split();
    let write = async { to.write_all(text.as_bytes()).await.unwrap() };
    let read = async {
        let mut all = Vec::new();
        let mut seen = 0;
        while seen < 200 {
            let Some(end) = all.windows(4).position(|w| w == b"\r\n\r\n") else {
                from.read_buf(&mut all).await.unwrap();
                continue;
            };
            let head = parse(&all[..end + 4], true);
            let len: usize = head.header("content-length").parse().unwrap();
            while all.len() < end + 4 + len {
                from.read_buf(&mut all).await.unwrap();
            }
            let (_, _, expect) = kinds[seen % kinds.len()];
            let status = [200, 200, 206, 404][seen % kinds.len()];
            assert_eq!(head.status, status, "{seen}");
            assert!(status == 404 || len == expect, "{seen}: {len}");
            all.drain(..end + 4 + len);
            seen += 1;
        }
        assert!(all.is_empty());
    };
    futures::future::join(write, read).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_comes_byte_by_byte_is_answered_as_one_that_comes_whole() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    rig.get("poster.jpg").await;
    let mut stream = TcpStream::connect(rig.public).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for _ in 0..2 {
        for byte in asked("poster.jpg", "").bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == b"a picture", "{head}");
    }
    rig.stop().await;
}

/// The fields of an answer, but for those that tell of time.
fn fields(text: &[u8]) -> std::collections::BTreeMap<String, String> {
    let mut fields = parse(text, true).headers;
    for (name, must) in [("date", " GMT"), ("server-timing", "edge;dur=")] {
        let value = fields.remove(name).unwrap_or_else(|| panic!("no {name} in {fields:?}"));
        assert!(value.contains(must), "{name}: {value}");
    }
    fields
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_the_same_whichever_way_it_goes() {
    let rig = Rig::start().await;
    for (path, body) in [("poster.jpg", "a picture"), ("hls/720p/index.m3u8", "#EXTM3U\n#EXT-X-ENDLIST\n")] {
        rig.origin.put(ASSET, path, body).await;
        rig.get(path).await;
        for origin in [String::new(), format!("origin: {PAGE}\r\n"), "origin: https://other.example\r\n".to_owned()] {
            let mut answers = Vec::new();
            // An announced body of no bytes is what takes a request off the short way, and hyper answers it.
            for more in [String::new(), "content-length: 0\r\n".to_owned()] {
                let text = asked(path, &format!("connection: close\r\n{origin}{more}"));
                let mut stream = TcpStream::connect(rig.public).await.unwrap();
                stream.write_all(text.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
                let body = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
                answers.push((fields(&answer), answer[body..].to_vec()));
            }
            assert_eq!(answers[0], answers[1], "{path} {origin}");
            assert_eq!(answers[0].0.contains_key("access-control-allow-origin"), origin.contains(PAGE));
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_answered_and_rests_is_closed_in_time_and_so_is_half_a_head_behind_an_answer() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let rig = Rig::with(Origin::default(), dir, |config| config.header_timeout = Duration::from_millis(200)).await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    for rest in ["", "GET /v/", "GET /v/x HTTP/1.1\r\nhost: a\r\nx-"] {
        let mut stream = TcpStream::connect(rig.public).await.unwrap();
        for _ in 0..3 {
            stream.write_all(asked("poster.jpg", "").as_bytes()).await.unwrap();
            assert_eq!(answer(&mut stream).await.1, b"a picture");
            // Each answer begins the wait anew.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut more = Vec::new();
        // This ends, or the test never does.
        let _ = stream.read_to_end(&mut more).await;
        assert!(more.is_empty());
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_neither_listener_does_half_a_head_hold_a_connection() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let rig = Rig::with(Origin::default(), dir, |config| config.header_timeout = Duration::from_millis(200)).await;
    for at in [rig.public, rig.private] {
        for said in [
            "",
            "G",
            "GET /v/x HTTP/1.1\r\nhost: a\r\nx-",
            "POST /internal/warm HTTP/1.1\r\nhost:",
            "PRI * HTTP/2.0\r\n",
        ] {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            // This ends, or the test never does.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_a_resting_connection_at_once_and_a_body_under_way_after_its_last_byte() {
    let rig = Rig::start().await;
    let bytes = noise(24 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    rig.get(SEGMENT).await;
    let mut resting = TcpStream::connect(rig.public).await.unwrap();
    resting.write_all(asked(SEGMENT, "range: bytes=0-0\r\n").as_bytes()).await.unwrap();
    assert_eq!(answer(&mut resting).await.1.len(), 1);
    let mut busy = TcpStream::connect(rig.public).await.unwrap();
    busy.write_all(asked(SEGMENT, "").as_bytes()).await.unwrap();
    let mut seen = vec![0; 4096];
    busy.read_exact(&mut seen).await.unwrap();
    let stopped = rend_shell::spawn("stop", rig.stop());
    assert_eq!(resting.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    busy.read_to_end(&mut seen).await.unwrap();
    assert!(seen.ends_with(&bytes));
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_2_many_bodies_come_whole_on_one_connection() {
    let rig = Rig::start().await;
    let bytes = noise(900_000);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    let stream = TcpStream::connect(rig.public).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    rend_shell::spawn("client", async move {
        let _ = connection.await;
    });
    let asks = (0..20).map(|_| {
        let mut sender = sender.clone();
        let request = http::Request::get(format!("http://edge/v/{ASSET}/{SEGMENT}"))
            .header("cookie", cookie(ASSET))
            .body(String::new())
            .unwrap();
        async move { read(sender.send_request(request).await.unwrap()).await }
    });
    let bodies: Vec<(u16, Vec<u8>)> = futures::stream::iter(asks).buffer_unordered(20).collect().await;
    assert!(bodies.iter().all(|(status, body)| *status == 200 && *body == bytes));
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 1);
    drop(sender);
    rig.stop().await;
}

async fn read(response: http::Response<Incoming>) -> (u16, Vec<u8>) {
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut whole = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        whole.extend_from_slice(&frame.unwrap().into_data().unwrap_or_else(|_| Bytes::new()));
    }
    (status, whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_more_than_may_be_waits_until_another_is_closed() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let rig = Rig::with(Origin::default(), dir, |config| config.connections_max = 2).await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(rig.public).await.unwrap();
        stream.write_all(asked("poster.jpg", "").as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.1, b"a picture");
        held.push(stream);
    }
    let mut third = Box::pin(rig.get("poster.jpg"));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut third).await.is_err(), "it is not answered yet");
    drop(held.pop());
    assert_eq!(third.await.status, 200);
    drop(held);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_takes_too_long_is_504_with_the_time_to_come_back() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let rig = Rig::with(Origin::default(), dir, |config| config.origin_timeout = Duration::from_millis(200)).await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    rig.origin.late.store(1, Ordering::SeqCst);
    let late = rig.get("poster.jpg").await;
    assert_eq!((late.status, late.header("retry-after"), late.header("cache-control")), (504, "1", "no-store"));
    assert_eq!(late.json()["code"], "origin_timeout");
    rig.origin.late.store(0, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.get("poster.jpg").await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_server_would_see_otherwise_is_never_answered_as_two_requests() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    let inner = head_text("GET", &format!("/v/{ASSET}/poster.jpg"), &[("cookie", &cookie(ASSET))], "");
    for more in [
        format!("content-length: {}\r\n", inner.len()),
        "transfer-encoding: chunked\r\n".to_owned(),
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", inner.len()),
    ] {
        let mut text = Vec::new();
        write!(text, "GET /v/{ASSET}/no.such HTTP/1.1\r\nhost: a\r\n{more}\r\n").unwrap();
        if more.contains("chunked") {
            write!(text, "{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()).unwrap();
        } else {
            text.extend_from_slice(inner.as_bytes());
        }
        let mut stream = TcpStream::connect(rig.public).await.unwrap();
        stream.write_all(&text).await.unwrap();
        let mut answered = Vec::new();
        let _ = tokio::time::timeout(Duration::from_millis(300), stream.read_to_end(&mut answered)).await;
        let answered = String::from_utf8_lossy(&answered);
        assert!(!answered.contains("a picture"), "{more}: {answered}");
    }
    assert_eq!(request(rig.public, "GET", "/healthz", &[], "").await.status, 200);
    rig.stop().await;
}
