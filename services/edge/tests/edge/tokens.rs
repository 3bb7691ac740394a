//! Tokens that are renewed, exchanged and revoked.

use std::sync::Arc;
use std::time::Duration;

use rend_core::time::{Clock, Timestamp};
use rend_shell::SystemClock;
use rend_token::{
    Artifact, ArtifactClass, AssetRef, Claims, ClassMask, Grant, KeyRingBuf, Org, Policy, Request, RingValues,
    SessionId, Signer, UnixSecs, Verifier,
};
use serde_json::json;

use crate::control::{Control, towards};
use crate::rig::{ASSET, Answer, Origin, PAGE, Rig, SECRET, token_at};

const SEGMENT: &str = "hls/720p/segment_00003.m4s";
const MASTER: &str = "hls/master.m3u8";
const VARIANT: &str = "hls/720p/index.m3u8";

fn ring() -> KeyRingBuf {
    let values = RingValues {
        signing_label: Some("local-dev-playback-key"),
        signing_secret: Some(SECRET),
        verify_keys: None,
        production: false,
    };
    KeyRingBuf::from_values(&values, Policy::new()).unwrap()
}

fn secs(at: Timestamp) -> UnixSecs {
    UnixSecs::try_from(at.as_secs()).unwrap()
}

fn now() -> Timestamp {
    SystemClock::start().wall()
}

/// A token for 900 seconds of which `age` have passed, renewable in steps of 900 until `horizon` after its issue.
fn aged(age: u64, horizon: Option<u32>) -> String {
    let asset = AssetRef::parse(ASSET).unwrap();
    let mut grant = Grant::playback(&asset, ClassMask::ALL, 900).org(Org::new([7; 16])).session(SessionId::new([3; 7]));
    if let Some(horizon) = horizon {
        grant = grant.renewable(900, horizon);
    }
    let claims = grant.build(secs(now() - Duration::from_secs(age))).unwrap();
    Signer::new(&ring()).sign(&claims).unwrap().as_str().to_owned()
}

fn claims(token: &str) -> Claims {
    let asset = AssetRef::parse(ASSET).unwrap();
    let request = Request::new(&asset, Artifact::new(ArtifactClass::Segment, SEGMENT), secs(now()));
    *Verifier::playback(&ring()).verify(token.as_bytes(), &request).unwrap().claims()
}

/// The token of a `Set-Cookie`, and its attributes.
fn set_cookie(answer: &Answer) -> Option<(String, String)> {
    let value = answer.headers.get("set-cookie")?;
    let (pair, attributes) = value.split_once("; ").unwrap();
    Some((pair.split_once('=').unwrap().1.to_owned(), attributes.to_owned()))
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    for path in [SEGMENT, "hls/720p/init_720p.mp4", "poster.jpg"] {
        rig.origin.put(ASSET, path, "media").await;
    }
    rig.origin.put(ASSET, MASTER, "#EXTM3U\n").await;
    rig.origin.put(ASSET, VARIANT, "#EXTM3U\n#EXT-X-ENDLIST\n").await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_in_its_last_third_is_renewed_with_the_same_session_scope_and_deadline() {
    let rig = rig().await;
    let old = aged(700, Some(14_400));
    for path in [SEGMENT, MASTER, VARIANT] {
        let answer = rig.ask("GET", path, &[("cookie", &format!("a=b; rend_pb={old}")), ("origin", PAGE)]).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("cache-control").starts_with("private"), "no shared cache may keep a cookie");
        let (token, attributes) = set_cookie(&answer).unwrap();
        assert_eq!(attributes, format!("Path=/v/{ASSET}/; Max-Age=900; HttpOnly; SameSite=Lax"));
        let (before, after) = (claims(&old), claims(&token));
        assert_eq!(after.deadline(), before.deadline());
        assert_eq!((after.session(), after.org()), (before.session(), before.org()));
        assert_eq!((after.classes(), after.rung_max()), (before.classes(), before.rung_max()));
        assert!(after.expires_at() > before.expires_at());
        let again = rig.ask("GET", path, &[("cookie", &format!("rend_pb={token}"))]).await;
        assert_eq!((again.status, set_cookie(&again)), (200, None), "a young token is left alone");
    }
    // A part is a response too; over https the cookie keeps its name, and in a stranger's page its place.
    let cookie = format!("__Secure-rend_pb={old}");
    let part = rig.ask("GET", SEGMENT, &[("cookie", &cookie), ("range", "bytes=0-1")]).await;
    assert_eq!(part.status, 206);
    assert!(part.header("set-cookie").starts_with("__Secure-rend_pb=rt1."));
    assert!(part.header("set-cookie").ends_with("; HttpOnly; Secure; SameSite=Lax"));
    let embedded = rig.ask("GET", SEGMENT, &[("cookie", &cookie), ("sec-fetch-site", "cross-site")]).await;
    assert!(embedded.header("set-cookie").ends_with("; Secure; SameSite=None; Partitioned"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_cookie_that_is_due_and_may_be_renewed_gets_a_successor() {
    let rig = rig().await;
    let ask = async |path: &str, headers: &[(&str, &str)], status: u16| {
        let answer = rig.ask("GET", path, headers).await;
        assert_eq!(answer.status, status, "{path}");
        set_cookie(&answer)
    };
    let due = aged(700, Some(14_400));
    let cookie = |token: &str| format!("rend_pb={token}");
    assert_eq!(ask(SEGMENT, &[("cookie", &cookie(&aged(500, Some(14_400))))], 200).await, None, "it is not due");
    assert_eq!(ask(SEGMENT, &[("cookie", &cookie(&aged(700, None)))], 200).await, None, "it may not be renewed");
    assert_eq!(ask(SEGMENT, &[("cookie", &cookie(&aged(700, Some(900))))], 200).await, None, "its deadline is its end");
    assert_eq!(ask(&format!("/v/{ASSET}/{SEGMENT}?token={due}"), &[], 200).await, None, "it came in the query");
    assert_eq!(ask(&format!("/v/{ASSET}/~{due}/{SEGMENT}"), &[], 200).await, None, "it came in the path");
    for path in ["poster.jpg", "hls/720p/init_720p.mp4"] {
        assert_eq!(ask(path, &[("cookie", &cookie(&due))], 200).await, None, "{path} is fetched once");
    }
    assert_eq!(ask("hls/720p/segment_00009.m4s", &[("cookie", &cookie(&due))], 404).await, None);
    let etag = rig.ask("GET", SEGMENT, &[("cookie", &cookie(&due))]).await.header("etag").to_owned();
    assert_eq!(ask(SEGMENT, &[("cookie", &cookie(&due)), ("if-none-match", &etag)], 304).await, None);
    assert_eq!(ask(SEGMENT, &[("cookie", &cookie(&aged(901, Some(14_400))))], 401).await, None, "it is too late");
    let head = rig.ask("HEAD", SEGMENT, &[("cookie", &cookie(&due))]).await;
    assert_eq!((head.status, set_cookie(&head)), (200, None));
    // Close to the deadline a step is cut short, and what follows is the last.
    let late = aged(700, Some(1000));
    let (last, attributes) = ask(SEGMENT, &[("cookie", &cookie(&late))], 200).await.unwrap();
    assert_eq!(Some(claims(&last).expires_at()), claims(&late).deadline());
    assert!(attributes.contains("Max-Age=300") || attributes.contains("Max-Age=299"), "{attributes}");
    assert_eq!(ask(SEGMENT, &[("cookie", &cookie(&last))], 200).await, None);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_token_is_exchanged_on_the_master_playlist_for_a_cookie_that_plays() {
    let rig = rig().await;
    let asset = AssetRef::parse(ASSET).unwrap();
    let grant = Grant::bootstrap(&asset, ClassMask::HLS, 120).session(SessionId::new([5; 7])).renewable(900, 3600);
    let token = Signer::new(&ring()).sign(&grant.build(secs(now())).unwrap()).unwrap();
    let answer = rig.ask("GET", &format!("/v/{ASSET}/{MASTER}?token={}", token.as_str()), &[]).await;
    assert_eq!(answer.status, 200);
    let (playback, attributes) = set_cookie(&answer).unwrap();
    assert!(attributes.starts_with(&format!("Path=/v/{ASSET}/; Max-Age=900; HttpOnly")), "{attributes}");
    let claims = claims(&playback);
    assert_eq!((claims.session(), claims.classes()), (Some(SessionId::new([5; 7])), ClassMask::HLS));
    assert_eq!(
        claims.deadline().unwrap().get() / 10,
        (secs(now()).get() + 3600) / 10,
        "the session's end is passed on"
    );
    assert_eq!(rig.ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={playback}"))]).await.status, 200);
    let segment = format!("/v/{ASSET}/{SEGMENT}?token={}", token.as_str());
    assert_eq!(rig.ask("GET", &segment, &[]).await.status, 401, "a bootstrap token opens no segment");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_four_tokens_of_a_request_are_looked_at() {
    let rig = rig().await;
    let good = aged(0, None);
    let ask = async |before: usize| {
        let cookies: String = (0..before).map(|at| format!("__Secure-rend_pb=junk{at}; ")).collect();
        rig.ask("GET", SEGMENT, &[("cookie", &format!("{cookies}rend_pb={good}"))]).await.status
    };
    assert_eq!((ask(3).await, ask(4).await), (200, 401));
    rig.stop().await;
}

fn order(seq: u64, kind: &str, subject: &str, before: Option<Timestamp>) -> String {
    let before = before.map(|at| at.to_string());
    json!({ "seq": seq, "kind": kind, "subject": subject, "issued_before": before, "at": now().to_string() })
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_is_refused_from_then_on_also_after_a_restart() {
    let old = aged(10, None);
    let org = "07070707-0707-0707-0707-070707070707";
    let session = "03030303030303";
    for (kind, subject, before, fresh) in [
        ("key", "local-dev-playback-key", None, 401),
        ("org", org, Some(now() - Duration::from_secs(5)), 200),
        ("asset", ASSET, Some(now() - Duration::from_secs(5)), 200),
        ("session", session, None, 401),
    ] {
        let rig = rig().await;
        assert_eq!(rig.ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={old}"))]).await.status, 200);
        let answer = rig.internal("POST", "/internal/revoke", &order(1, kind, subject, before)).await;
        assert_eq!((answer.status, answer.json()["seen"].as_u64()), (200, Some(1)), "{kind}");
        let check = async |rig: &Rig, when: &str| {
            for token in [&old, &aged(10, Some(14_400))] {
                let answer = rig.ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={token}"))]).await;
                assert_eq!(answer.status, 401, "{kind} {when}");
            }
            let young = rig.ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={}", aged(0, None)))]).await;
            assert_eq!(young.status, fresh, "{kind} {when}: a token from after the order");
        };
        check(&rig, "at once").await;
        let metrics = rig.internal("GET", "/metrics", "").await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        assert!(text.contains(&format!("rend_edge_denied_total{{reason=\"revoked_{kind}\"}}")), "{text}");
        let (origin, dir) = rig.stop().await;
        let rig = Rig::with(origin, dir, |_| {}).await;
        check(&rig, "after a restart").await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_none_is_refused_by_field_and_needs_the_bearer() {
    let rig = rig().await;
    for (body, field) in [
        (order(1, "token", "x", None), "subject"),
        (order(1, "session", "short", None), "subject"),
        (order(1, "key", "a b", None), "subject"),
    ] {
        let answer = rig.internal("POST", "/internal/revoke", &body).await;
        assert_eq!(answer.status, 422);
        assert!(answer.json()["detail"].as_str().unwrap().contains(field));
    }
    let body = order(1, "key", "local-dev-playback-key", None);
    let answer = crate::rig::request(rig.private, "POST", "/internal/revoke", &[], &body).await;
    assert_eq!(answer.status, 401);
    let good = token_at(ASSET, now(), 900, SECRET);
    assert_eq!(rig.ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={good}"))]).await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_was_away_knows_what_was_revoked_before_it_serves() {
    let control = Control::default();
    let (at, trigger) = control.start().await;
    let mut log: Vec<_> = (1..=2500).map(|seq| order(seq, "session", &format!("{seq:014x}"), None)).collect();
    log.push(order(2501, "session", "03030303030303", None));
    *control.revocations.lock().unwrap() = log.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let rig = Rig::with(Origin::default(), Arc::new(tempfile::tempdir().unwrap()), towards(at)).await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    let watcher = format!("rend_pb={}", aged(10, None));
    assert_eq!(rig.ask("GET", SEGMENT, &[("cookie", &watcher)]).await.status, 401);
    // An order that no push brought is in force after a heartbeat.
    let anybody = format!("rend_pb={}", token_at(ASSET, now(), 900, SECRET));
    assert_eq!(rig.ask("GET", SEGMENT, &[("cookie", &anybody)]).await.status, 200);
    let row = serde_json::from_str(&order(2502, "asset", ASSET, Some(now() + Duration::from_secs(1)))).unwrap();
    control.revocations.lock().unwrap().push(row);
    while rig.ask("GET", SEGMENT, &[("cookie", &anybody)]).await.status == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // And is not forgotten when the control plane is.
    let (origin, dir) = rig.stop().await;
    trigger.request();
    let rig = Rig::with(origin, dir, |_| {}).await;
    for cookie in [&watcher, &anybody] {
        assert_eq!(rig.ask("GET", SEGMENT, &[("cookie", cookie)]).await.status, 401);
    }
    rig.stop().await;
}
