use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rend_core::asset::{Asset, PlaybackPolicy};
use rend_core::id::AssetId;
use rend_core::upload::address::Kind;
use rend_core::upload::pull::{Guard, Refused};
use rend_core::webhook::deliver::Progress;
use rend_core::webhook::{Kinds, Secret, Why, signed};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::SOLE_ORG;
use crate::ingest::rig::Rig;

/// One message as a receiver sees it.
#[derive(Clone, Debug)]
struct Heard {
    id: String,
    sent_at: u64,
    signature: String,
    body: Vec<u8>,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether one of its signatures is by `secret`, as any receiver checks it.
    fn is_signed(&self, secret: &Secret) -> bool {
        let text = signed(&self.id, rend_core::time::Timestamp::from_secs(self.sent_at), &self.body);
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(text).finalize();
        let expect = format!("v1,{}", STANDARD.encode(mac.into_bytes()));
        self.signature.split(' ').any(|one| one == expect)
    }
}

/// A receiver that answers by `answer`, which sees the message and how many came before it. `None` is no answer at all.
async fn receiver(
    answer: impl Fn(&Heard, usize) -> Option<&'static str> + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<Heard>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/hooks?key=x", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (told, answer) = (Arc::clone(&heard), Arc::new(answer));
    rend_shell::spawn("test", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (told, answer) = (Arc::clone(&told), Arc::clone(&answer));
            rend_shell::spawn("test", async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let field = |name: &str| {
                    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                    line.unwrap_or_else(|| panic!("{name} in {head}")).to_owned()
                };
                assert!(head.starts_with("POST /hooks?key=x ") && field("content-type") == "application/json");
                let mut body = vec![0; field("content-length").parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                let message = Heard {
                    id: field("webhook-id"),
                    sent_at: field("webhook-timestamp").parse().unwrap(),
                    signature: field("webhook-signature"),
                    body,
                };
                let status = {
                    let mut told = told.lock().unwrap();
                    told.push(message.clone());
                    answer(&message, told.len() - 1)
                };
                match status {
                    Some(status) => {
                        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                    None => std::future::pending().await,
                }
            });
        }
    });
    (url, heard)
}

/// A rig whose webhooks are told, with an asset.
struct Story {
    rig: Rig,
    asset: AssetId,
}

impl Story {
    async fn new() -> Self {
        let rig = Rig::new();
        let asset = AssetId::from_bytes([7; 16]);
        let now = rig.state.clock.wall();
        let row = Asset::new(asset, SOLE_ORG, "film".into(), PlaybackPolicy::Public, now);
        rig.stores.assets.create(&row).await.unwrap();
        rend_shell::spawn("test", run(Arc::clone(&rig.state)));
        Self { rig, asset }
    }

    /// Has `url` told of `wants`, of everything after the start of the log.
    async fn endpoint(&self, url: &str, wants: Kinds) -> Endpoint {
        let now = self.rig.state.clock.wall();
        let endpoint = Endpoint {
            id: WebhookId::new(now, rend_shell::ten()),
            org: SOLE_ORG,
            url: url.into(),
            description: String::new(),
            wants,
            secret: Secret::from_bytes([3; 32]),
            secret_before: None,
            state: EndpointState::Active,
            progress: Progress::from_place(0),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        self.rig.stores.webhooks.insert_webhook(&endpoint, 16).await.unwrap();
        endpoint
    }

    async fn happen(&self, kind: &EventKind) {
        self.rig.stores.events.append(self.asset, kind, self.rig.state.clock.wall()).await.unwrap();
        self.rig.state.bus.wake();
    }

    async fn until(&self, id: WebhookId, what: &str, mut done: impl FnMut(&Endpoint) -> bool) -> Endpoint {
        for _ in 0..4000 {
            let row = self.rig.stores.webhooks.webhook(id).await.unwrap();
            if done(&row) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: {:?}", self.rig.stores.webhooks.webhook(id).await.unwrap());
    }

    async fn told(&self, id: WebhookId) -> Endpoint {
        let head = self.rig.stores.events.head().await.unwrap();
        self.until(id, "it is told of everything", |row| {
            row.progress == Progress { lease: None, ..Progress::from_place(head) }
        })
        .await
    }
}

fn ids(heard: &Mutex<Vec<Heard>>) -> Vec<String> {
    heard.lock().unwrap().iter().map(|message| message.id.clone()).collect()
}

#[tokio::test]
async fn every_event_arrives_signed_and_in_the_order_of_the_log() {
    let story = Story::new().await;
    for _ in 0..30 {
        story.happen(&EventKind::AssetUpdated).await;
    }
    let (url, heard) = receiver(|_, _| Some("200 OK")).await;
    let endpoint = story.endpoint(&url, Kinds::ALL).await;
    story.told(endpoint.id).await;
    let messages = heard.lock().unwrap().clone();
    let mut seqs: Vec<u64> = messages.iter().map(|message| message.json()["data"]["seq"].as_u64().unwrap()).collect();
    // Those of one round are under way together.
    assert!(seqs.chunks(ROUND_MAX).zip(seqs.chunks(ROUND_MAX).skip(1)).all(|(a, b)| a.iter().max() < b.iter().min()));
    seqs.sort_unstable();
    assert!(seqs.into_iter().eq(1..=31), "each once");
    for message in &messages {
        let body = message.json();
        assert!(message.is_signed(&endpoint.secret), "{message:?}");
        assert!(!message.is_signed(&Secret::from_bytes([4; 32])));
        assert_eq!(body["id"], message.id.as_str());
        assert_eq!(body["data"]["asset_id"], story.asset.to_string());
    }
    let first = messages.iter().find(|message| message.id == "evt_1").unwrap().json();
    assert_eq!(first["type"], "asset.created");
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_when_its_time_comes_and_nothing_waits_for_it() {
    let story = Story::new().await;
    let (url, heard) = receiver(|message, n| {
        let first = n < 2 && message.id == "evt_1";
        Some(if first { "500 No" } else { "204 No Content" })
    })
    .await;
    let endpoint = story.endpoint(&url, Kinds::ALL).await;
    story.until(endpoint.id, "it waits", |row| row.progress.waiting.len() == 1).await;
    story.happen(&EventKind::AssetUpdated).await;
    story.until(endpoint.id, "the next one is taken", |row| row.progress.cursor == 2).await;
    assert_eq!(ids(&heard), ["evt_1", "evt_2"]);
    story.rig.pass(Duration::from_secs(6));
    story.told(endpoint.id).await;
    assert_eq!(ids(&heard), ["evt_1", "evt_2", "evt_1"]);
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0].body, heard[2].body, "a repeat is the same message");
    assert!(heard[2].sent_at >= heard[0].sent_at + 5);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_told_no_more_and_the_history_says_so() {
    let story = Story::new().await;
    let (url, heard) = receiver(|_, _| Some("410 Gone")).await;
    let (other, told) = receiver(|_, _| Some("200 OK")).await;
    let gone = story.endpoint(&url, Kinds::ALL).await;
    let other = story.endpoint(&other, Kinds::new(["webhook.disabled"]).unwrap()).await;
    let row = story.until(gone.id, "it is disabled and that is told", |row| {
        matches!(row.state, EndpointState::Disabled { why: Why::Gone, tell: None, .. })
    });
    assert_eq!(row.await.progress.lease, None);
    story.happen(&EventKind::AssetUpdated).await;
    story.told(other.id).await;
    assert_eq!(ids(&heard), ["evt_1"]);
    let message = told.lock().unwrap()[0].json();
    assert_eq!((&message["type"], &message["data"]["data"]["why"]), (&"webhook.disabled".into(), &"gone".into()));
    assert_eq!(message["data"]["data"]["endpoint"], gone.id.to_string());
}

#[tokio::test]
async fn a_process_that_left_a_lease_behind_is_followed_by_another() {
    let story = Story::new().await;
    let (url, heard) = receiver(|_, _| Some("200 OK")).await;
    let endpoint = story.endpoint(&url, Kinds::ALL).await;
    story.told(endpoint.id).await;
    // Another process took the lease and was killed.
    let now = story.rig.state.clock.wall();
    let lease = |row: &Endpoint| Some(Endpoint { progress: row.progress.leased([9; 8], now).unwrap(), ..row.clone() });
    change(&story.rig.state, endpoint.id, lease).await.unwrap();
    story.happen(&EventKind::AssetUpdated).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ids(&heard), ["evt_1"], "its time is not over");
    story.rig.pass(rend_core::webhook::deliver::LEASE_FOR);
    story.told(endpoint.id).await;
    assert_eq!(ids(&heard), ["evt_1", "evt_2"]);
}

#[tokio::test]
async fn one_try_is_bounded_and_goes_nowhere_that_is_not_public() {
    let story = Story::new().await;
    let here = Guard { plain_http: true, also: Some([127, 0, 0, 1].into()) };
    let message = Message::test("x", story.rig.state.clock.wall());
    let send = async |guard: Guard, url: &str| {
        let endpoint = story.endpoint(url, Kinds::new(["webhook.disabled"]).unwrap()).await;
        let sender = Sender::new(guard).unwrap().patient_for(Duration::from_millis(300));
        sender.send(&endpoint, &message, story.rig.state.clock.wall()).await
    };
    let (silent, _) = receiver(|_, _| None).await;
    assert_eq!(send(here, &silent).await, Sent::Late);
    let (away, heard) = receiver(|_, _| Some("302 Found\r\nlocation: http://127.0.0.1:9/")).await;
    assert_eq!(send(here, &away).await, Sent::Answered(302), "a redirect is an answer, and is not followed");
    assert_eq!(send(here, "http://127.0.0.1:1/").await, Sent::Unreachable);
    let public = Guard { plain_http: true, also: None };
    let port = away.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"] {
        assert_eq!(
            send(public, &format!("http://{host}:{port}")).await,
            Sent::Refused(Refused::Address(Kind::Loopback)),
            "{host}"
        );
    }
    assert_eq!(send(Guard::STRICT, &away).await, Sent::Refused(Refused::Scheme));
    assert_eq!(heard.lock().unwrap().len(), 1);
}
