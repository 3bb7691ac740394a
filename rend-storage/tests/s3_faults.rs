//! An object storage that fails in the middle: what is tried again, what goes on, and what is given up.
#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::objects::{Object, ObjectStore, Put};
use rend_storage::s3::{S3Config, S3Objects};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}

/// What the server does with one connection: answers so, and closes.
type Script = Vec<String>;

/// A server that answers each request with the next of its script, then says what it was asked.
struct Server {
    objects: S3Objects,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        let mut script: VecDeque<_> = script.into();
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                told.lock().unwrap().push(request);
                let answer = script.pop_front().unwrap_or_else(|| "HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n".into());
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        let mut config = S3Config::new(&endpoint, "us-east-1", "bucket", "key", "secret");
        config.answer_within = Duration::from_secs(20);
        config.silent_max = Duration::from_secs(20);
        Self { objects: S3Objects::new(&config).unwrap(), asked }
    }

    /// The requests so far: method, and what a test looks at in their heads.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request with its body; answered in small letters.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= len.map_or(0, |len| len.parse().unwrap()) {
                return text;
            }
        }
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "a request that ends early");
        bytes.extend_from_slice(&piece[..count]);
    }
}

fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}")
}

fn trouble() -> String {
    answer("503 Slow Down", &["content-length: 34"], "<Error><Code>SlowDown</Code></Error>")
}

fn key() -> ObjectKey {
    "assets/a".parse().unwrap()
}

async fn bytes_of(object: Object) -> Result<Vec<u8>, StoreError> {
    let mut body = object.body;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

async fn put(server: &Server) -> Result<(), StoreError> {
    let put = Put { content_type: "video/mp4".into(), len: None, sha256: None, now: Timestamp::EPOCH };
    let body = futures::stream::iter([Ok(Bytes::from_static(b"bytes"))]).boxed();
    server.objects.put(&key(), put, body).await.map(drop)
}

#[test]
fn a_request_is_tried_again_while_the_server_is_in_trouble() {
    block_on(async {
        let good = answer("200 OK", &["content-length: 0", "etag: \"1\""], "");
        let server = Server::start(vec![trouble(), trouble(), good]).await;
        put(&server).await.unwrap();
        let asked = server.asked();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|request| request.starts_with("put /bucket/assets/a ") && request.ends_with("bytes")));
    });
}

#[test]
fn a_server_that_stays_in_trouble_is_left_alone_after_four_tries() {
    block_on(async {
        let server = Server::start(vec![trouble(); 10]).await;
        assert!(put(&server).await.unwrap_err().is_transient());
        assert_eq!(server.asked().len(), 4);
    });
}

#[test]
fn a_refusal_is_not_tried_again() {
    block_on(async {
        let refused = answer("403 Forbidden", &["content-length: 39"], "<Error><Code>AccessDenied</Code></Error>");
        let server = Server::start(vec![refused]).await;
        assert!(put(&server).await.is_err());
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn a_body_that_breaks_off_goes_on_where_it_was_with_the_same_object() {
    block_on(async {
        let half = answer("200 OK", &["content-length: 10", "etag: \"one\"", "content-type: video/mp4"], "01234");
        let more = ["content-length: 5", "content-range: bytes 5-9/10", "etag: \"one\""];
        let broken = answer("206 Partial Content", &more, "56");
        let end = ["content-length: 3", "content-range: bytes 7-9/10", "etag: \"one\""];
        let server = Server::start(vec![half, broken, answer("206 Partial Content", &end, "789")]).await;
        let object = server.objects.get(&key(), None).await.unwrap();
        assert_eq!(object.meta.len, 10);
        assert_eq!(bytes_of(object).await.unwrap(), b"0123456789");
        let asked = server.asked();
        assert_eq!(asked.len(), 3, "one read, and one for each break");
        for (request, range) in asked[1..].iter().zip(["range: bytes=5-9", "range: bytes=7-9"]) {
            assert!(request.contains(range) && request.contains("if-match: \"one\""), "{request}");
        }
    });
}

#[test]
fn a_body_whose_object_was_replaced_is_given_up_and_never_mixed() {
    block_on(async {
        let half = answer("200 OK", &["content-length: 10", "etag: \"one\""], "01234");
        let other = answer("412 Precondition Failed", &["content-length: 0"], "");
        let server = Server::start(vec![half, other]).await;
        let object = server.objects.get(&key(), None).await.unwrap();
        assert!(matches!(bytes_of(object).await, Err(StoreError::Conflict { .. })));
    });
}

#[test]
fn a_server_that_ignores_ranges_is_not_believed() {
    block_on(async {
        let whole = answer("200 OK", &["content-length: 10", "etag: \"one\""], "0123456789");
        let server = Server::start(vec![whole]).await;
        let refused = server.objects.get(&key(), Some(5..8)).await.err().unwrap();
        assert!(std::error::Error::source(&refused).unwrap().to_string().contains("another range"));
    });
}
