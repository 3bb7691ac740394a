//! Asks another server for a file.
//!
//! What may be asked for is [`Guard`]'s to say, and every address is judged at the moment it is connected to: the client
//! resolves names through [`Checked`], which gives it nothing that was not judged, and it keeps no address for later. A
//! redirect is a new URL and judged like the first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use rend_core::asset::Failure;
use rend_core::time::{Clock, Timestamp};
use rend_core::upload::pull::{Guard, Head, Known, Meaning, Never, REDIRECTS_MAX, Refused, ask, read, time_left};
use rend_core::upload::transfer::{Pull, Step, Transfer};
use rend_storage::StoreError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Response, Url, header};
use tokio::sync::watch;

use super::source::{End, Source, receive};
use crate::http::videos::quota;
use crate::state::{State, Stores};

/// How long a connection may take to stand.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the head of an answer may take.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// What one try brought.
pub(crate) enum Fetched {
    /// All of it is here.
    Whole(Box<Transfer>),
    /// A piece of it is here; the rest may come when it is asked for again.
    Some,
    /// Nothing, for now.
    Nothing(&'static str),
    /// It will not come.
    Never(Failure),
}

/// Asks for what is missing of `transfer`, and stores it as it comes.
pub(crate) async fn fetch(state: &State, transfer: Transfer) -> Fetched {
    // A file that is fetched is held to what is left to its organisation while it comes, since nobody announced its length.
    // What was learnt of that already is counted as held.
    let own = transfer.session.bytes_expected.unwrap_or(0);
    let left = match quota(state, transfer.session.org).await {
        Ok(left) => left.map_or(u64::MAX, |left| left.saturating_add(own)),
        Err(error) => {
            tracing::warn!(%error, "what is left to an organisation could not be told");
            return Fetched::Nothing("store_failed");
        }
    };
    let bytes_max = state.config.source_bytes_max.min(left);
    fetch_with(&state.stores, &state.clock, state.config.pull_guard, bytes_max, transfer).await
}

async fn fetch_with(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    guard: Guard,
    bytes_max: u64,
    transfer: Transfer,
) -> Fetched {
    let Some(pull) = transfer.pull.clone() else { return Fetched::Nothing("no_url") };
    let (since, before) = (transfer.session.created_at, transfer.received);
    let tried = in_time(since, clock.wall(), try_once(stores, clock, guard, bytes_max, transfer, &pull)).await;
    match tried.unwrap_or(Err(Halt::Late)) {
        Ok(After::Whole(transfer)) => Fetched::Whole(Box::new(transfer)),
        Ok(After::Cut(transfer)) if transfer.received > before => Fetched::Some,
        Ok(After::Cut(_)) => Fetched::Nothing("source_broke_off"),
        Err(Halt::Changed) => Fetched::Nothing("source_changed"),
        Err(Halt::Later) => Fetched::Nothing("source_unreachable"),
        Err(Halt::Late) => {
            Fetched::Never(failure("source_too_slow", "fetching the file took longer than 6 hours and was given up"))
        }
        Err(Halt::Refused(why)) => {
            Fetched::Never(failure("source_refused", &format!("the video can not be fetched from there; give {why}")))
        }
        Err(Halt::Never(why)) => Fetched::Never(never(why, bytes_max)),
        Err(Halt::Store(error)) => {
            tracing::warn!(%error, "a fetched piece could not be stored");
            Fetched::Nothing("store_failed")
        }
    }
}

/// Where a try ended.
enum After {
    Whole(Transfer),
    Cut(Transfer),
}

/// Why a try brought nothing to go on with.
enum Halt {
    /// It is another file by now; what was here is forgotten, and the next try begins again.
    Changed,
    Later,
    /// The time for fetching it is over.
    Late,
    Refused(Refused),
    Never(Never),
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What `tried` brings within the time that is left of one that was asked for at `since`; `None` when it is not done by then.
///
/// A body that never falls silent could otherwise last for ever, and hold one of the few places for fetching.
async fn in_time<T>(since: Timestamp, now: Timestamp, tried: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time_left(since, now)?, tried).await.ok()
}

async fn try_once(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    guard: Guard,
    bytes_max: u64,
    transfer: Transfer,
    pull: &Pull,
) -> Result<After, Halt> {
    let known = Known {
        received: transfer.received,
        bytes: transfer.session.bytes_expected,
        validator: pull.validator.as_deref(),
    };
    let (id, epoch) = (transfer.session.id, transfer.epoch);
    let client = guarded(guard).map_err(|_| Halt::Later)?;
    let mut url = parse(&pull.url).map_err(Halt::Refused)?;
    for _ in 0..=REDIRECTS_MAX {
        judge(guard, &url).map_err(Halt::Refused)?;
        let mut request = client.get(url.clone());
        for (name, value) in ask(&known) {
            request = request.header(name, value);
        }
        let answer = match tokio::time::timeout(HEAD_MAX, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(refused_by(&error).map_or(Halt::Later, Halt::Refused)),
            Err(_) => return Err(Halt::Later),
        };
        match read(&known, &head(&answer), bytes_max) {
            Meaning::Redirect(to) => url = url.join(&to).map_err(|_| Halt::Refused(Refused::Url))?,
            Meaning::Take { bytes, validator } => {
                let learn = Step::Learn { bytes_expected: bytes, validator };
                let transfer = stores.transfers.advance_transfer(id, epoch, &learn).await?;
                let body = answer.bytes_stream().map(|chunk| chunk.map_err(|_| ())).boxed();
                return take(stores, clock, transfer, body, bytes_max).await;
            }
            Meaning::Whole => return Ok(After::Whole(transfer)),
            Meaning::Changed => {
                stores.transfers.advance_transfer(id, epoch, &Step::Restart).await?;
                return Err(Halt::Changed);
            }
            Meaning::Later => return Err(Halt::Later),
            Meaning::Never(why) => return Err(Halt::Never(why)),
        }
    }
    Err(Halt::Refused(Refused::Redirects))
}

/// Stores a body that comes.
async fn take(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    transfer: Transfer,
    body: BoxStream<'static, Result<Bytes, ()>>,
    bytes_max: u64,
) -> Result<After, Halt> {
    let (id, epoch, known) = (transfer.session.id, transfer.epoch, transfer.session.bytes_expected);
    let (_go_on, stop) = watch::channel(false);
    let left = known.unwrap_or(bytes_max).saturating_sub(transfer.received);
    let received = receive(stores, clock, transfer, Source::new(body, left, stop), None).await?;
    let transfer = received.transfer;
    match received.end {
        End::Long => Err(Halt::Never(if known.is_some() { Never::Strange } else { Never::TooLarge })),
        End::Clean if known.is_none() && transfer.received > 0 => {
            // Nobody said how long it is; its end does.
            let validator = transfer.pull.as_ref().and_then(|pull| pull.validator.clone());
            let learn = Step::Learn { bytes_expected: Some(transfer.received), validator };
            Ok(After::Whole(stores.transfers.advance_transfer(id, epoch, &learn).await?))
        }
        End::Clean if known.is_none() => Err(Halt::Never(Never::Empty)),
        End::Clean | End::Cut | End::Idle | End::Stopped if transfer.is_whole() => Ok(After::Whole(transfer)),
        End::Clean | End::Cut | End::Idle | End::Stopped => Ok(After::Cut(transfer)),
    }
}

/// A URL as a person gives it.
///
/// # Errors
///
/// [`Refused::Url`].
pub(crate) fn parse(url: &str) -> Result<Url, Refused> {
    if url.len() > rend_core::upload::pull::URL_CHARS_MAX {
        return Err(Refused::Url);
    }
    Url::parse(url).map_err(|_| Refused::Url)
}

/// Judges a URL by what the client itself would make of it, so that there are no two opinions.
///
/// # Errors
///
/// [`Refused`].
pub(crate) fn judge(guard: Guard, url: &Url) -> Result<(), Refused> {
    guard.url(url.scheme(), url.host_str(), !url.username().is_empty() || url.password().is_some())
}

/// A client for one try: it keeps no connection and no address for another one, follows nothing by itself, and knows no
/// proxy, which would connect in its stead.
pub(crate) fn guarded(guard: Guard) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .dns_resolver(Arc::new(Checked(guard)))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_MAX)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("rend/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Resolves names, and gives out their addresses only when every one of them may be connected to: a name that also leads
/// inside is not trusted halfway.
#[derive(Clone, Copy, Debug)]
struct Checked(Guard);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                guard.address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The guard's word, if it was the guard that made the request fail.
pub(crate) fn refused_by(error: &reqwest::Error) -> Option<Refused> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        cause = error.source();
    }
    None
}

fn head(answer: &Response) -> Head<'_> {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    Head {
        status: answer.status().as_u16(),
        length: text(header::CONTENT_LENGTH).and_then(|value| value.trim().parse().ok()),
        range: text(header::CONTENT_RANGE),
        etag: text(header::ETAG),
        modified: text(header::LAST_MODIFIED),
        encoding: text(header::CONTENT_ENCODING),
        location: text(header::LOCATION),
    }
}

fn never(why: Never, bytes_max: u64) -> Failure {
    match why {
        Never::Missing => failure(
            "source_missing",
            "there is no file at this URL, or it is not for everybody; check it in a private browser window",
        ),
        Never::TooLarge => failure(
            "too_large",
            &format!(
                "the file has more than the {bytes_max} bytes that may come; REND_MAX_SOURCE_BYTES and \
                 REND_MAX_ORG_SOURCE_BYTES say how many may"
            ),
        ),
        Never::Empty => failure("empty_upload", "the file has no bytes"),
        Never::Strange => {
            failure("source_strange", "the server's answer is not a plain file; give the URL of the file itself")
        }
    }
}

fn failure(code: &str, detail: &str) -> Failure {
    Failure { code: code.into(), detail: detail.into() }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rend_core::upload::address::Kind;
    use rend_core::upload::pull::PULL_FOR_MAX;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::ingest::rig::{Rig, bytes_of, pulled};
    use crate::ingest::source::BODY_IDLE_MAX;

    const LOCAL: Guard = Guard { plain_http: true, also: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) };

    /// A server that answers one request after another by `answer`, which sees the request's head, and closes after each.
    pub(crate) async fn server(
        answer: impl Fn(&str, usize) -> Vec<u8> + Send + 'static,
    ) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        rend_shell::spawn("test", async move {
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let _ = stream.write_all(&answer(&head, n)).await;
                told.lock().unwrap().push(head);
                let _ = stream.shutdown().await;
            }
        });
        (format!("http://{at}"), heard)
    }

    pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
        for (name, value) in headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        answer.extend_from_slice(body);
        answer
    }

    async fn one_try(rig: &Rig, guard: Guard, id: rend_core::id::UploadId) -> Fetched {
        let transfer = rig.stores.transfers.take_over(id).await.unwrap();
        fetch_with(&rig.stores, &rig.clock(), guard, 1 << 20, transfer).await
    }

    #[track_caller]
    fn refused(fetched: &Fetched, code: &str) {
        match fetched {
            Fetched::Never(failure) => assert_eq!(failure.code, code, "{}", failure.detail),
            Fetched::Whole(_) | Fetched::Some | Fetched::Nothing(_) => panic!("it was not refused"),
        }
    }

    #[tokio::test]
    async fn a_file_that_breaks_off_goes_on_where_it_broke_and_is_the_same() {
        let file = bytes_of(100_000);
        let serve = file.clone();
        let (base, heard) = server(move |head, n| match n {
            0 => answer("200 OK", &[("content-length", "100000"), ("etag", "\"v1\"")], &serve[..60_000]),
            _ => {
                let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
                let start: usize = range.trim_end_matches('-').parse().unwrap();
                let range = format!("bytes {start}-99999/100000");
                let headers = [("content-range", range.as_str()), ("etag", "\"v1\"")];
                answer("206 Partial Content", &headers, &serve[start..])
            }
        })
        .await;
        let rig = Rig::new();
        let id = pulled(&rig, &format!("{base}/film.mp4?signature=x")).await;
        assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Some));
        let half = rig.stores.transfers.transfer(id).await.unwrap();
        assert!((1..100_000).contains(&half.received), "what came before the break is kept");
        let Fetched::Whole(transfer) = one_try(&rig, LOCAL, id).await else { panic!("the rest comes") };
        assert!(transfer.is_whole());
        assert_eq!(rig.parts_of(id).await, file);
        let heard = heard.lock().unwrap();
        assert!(
            heard[1].contains("if-match: \"v1\"") && heard[1].contains(&format!("range: bytes={}-", half.received))
        );
        assert!(heard.iter().all(|head| !head.to_lowercase().contains("authorization")));
    }

    #[tokio::test]
    async fn a_file_that_changed_is_fetched_from_its_start_again() {
        let (old, new) = (vec![1; 50_000], bytes_of(40_000));
        let serve = new.clone();
        let (base, _) = server(move |_, n| match n {
            0 => answer("200 OK", &[("content-length", "50000"), ("etag", "\"v1\"")], &old[..20_000]),
            1 => answer("412 Precondition Failed", &[("content-length", "0")], b""),
            _ => answer("200 OK", &[("content-length", "40000"), ("etag", "\"v2\"")], &serve),
        })
        .await;
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Some));
        assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Nothing("source_changed")));
        assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Whole(_)));
        assert_eq!(rig.parts_of(id).await, new);
    }

    #[tokio::test]
    async fn a_length_that_was_told_before_any_byte_came_binds_nobody() {
        let file = bytes_of(40_000);
        for second in [Some(("content-length", "40000")), None] {
            let serve = file.clone();
            let (base, _) = server(move |_, n| match n {
                0 => answer("200 OK", &[("content-length", "50000"), ("etag", "\"v1\"")], b""),
                _ => answer("200 OK", second.as_slice(), &serve),
            })
            .await;
            let rig = Rig::new();
            let id = pulled(&rig, &base).await;
            assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Nothing("source_broke_off")));
            assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Nothing("source_changed")));
            assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Whole(_)));
            assert_eq!(rig.parts_of(id).await, file);
        }
    }

    #[tokio::test]
    async fn a_file_of_unknown_length_ends_where_its_connection_does() {
        let file = bytes_of(30_000);
        let serve = file.clone();
        let (base, _) = server(move |_, _| answer("200 OK", &[], &serve)).await;
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        let Fetched::Whole(transfer) = one_try(&rig, LOCAL, id).await else { panic!("it came") };
        assert_eq!(transfer.session.bytes_expected, Some(30_000));
        assert_eq!(rig.parts_of(id).await, file);
    }

    #[tokio::test]
    async fn more_bytes_than_an_original_may_have_are_not_fetched() {
        let (base, _) = server(|_, n| match n {
            0 => answer("200 OK", &[("content-length", "1048577")], b""),
            _ => answer("200 OK", &[], &vec![0; (1 << 20) + 1]),
        })
        .await;
        for _ in 0..2 {
            let rig = Rig::new();
            let id = pulled(&rig, &base).await;
            refused(&one_try(&rig, LOCAL, id).await, "too_large");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_judged_like_the_first_url() {
        let to = |location: &'static str| answer("302 Found", &[("location", location), ("content-length", "0")], b"");
        for location in [
            "http://127.0.0.2:9/",
            "http://[::1]:9/",
            "http://169.254.169.254/latest",
            "ftp://127.0.0.1/",
            "http://u:p@127.0.0.1/",
            "http://0x7f.0.0.2/",
        ] {
            let (base, heard) = server(move |_, _| to(location)).await;
            let rig = Rig::new();
            let id = pulled(&rig, &base).await;
            refused(&one_try(&rig, LOCAL, id).await, "source_refused");
            assert_eq!(heard.lock().unwrap().len(), 1, "{location}");
        }
        let (base, heard) = server(move |_, _| to("/again")).await;
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        refused(&one_try(&rig, LOCAL, id).await, "source_refused");
        assert_eq!(heard.lock().unwrap().len(), 1 + REDIRECTS_MAX);
    }

    #[tokio::test]
    async fn a_redirect_that_may_be_followed_leads_to_the_file() {
        let (base, _) = server(|head, _| match head.starts_with("GET /film ") {
            true => answer("200 OK", &[("content-length", "4")], b"film"),
            false => answer("307 Temporary Redirect", &[("location", "/film"), ("content-length", "0")], b""),
        })
        .await;
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        assert!(matches!(one_try(&rig, LOCAL, id).await, Fetched::Whole(_)));
        assert_eq!(rig.parts_of(id).await, b"film");
    }

    #[tokio::test]
    async fn no_private_address_is_connected_to_by_number_or_by_name() {
        let (base, heard) = server(|_, _| answer("200 OK", &[("content-length", "4")], b"film")).await;
        let port = base.rsplit(':').next().unwrap().to_owned();
        let plain = Guard { plain_http: true, also: None };
        // A name is resolved by the client, and what it leads to is judged there.
        for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"] {
            let rig = Rig::new();
            let id = pulled(&rig, &format!("http://{host}:{port}/")).await;
            refused(&one_try(&rig, plain, id).await, "source_refused");
        }
        assert!(heard.lock().unwrap().is_empty(), "nothing was asked");
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        refused(&one_try(&rig, Guard { also: LOCAL.also, ..Guard::STRICT }, id).await, "source_refused");
    }

    #[test]
    fn the_guards_word_is_found_among_causes() {
        let url = parse("https://user:secret@example.com/a").unwrap();
        assert_eq!(judge(Guard::STRICT, &url), Err(Refused::Credentials));
        let inside = Refused::Address(Kind::Private).to_string();
        assert!(!inside.contains("10."), "no address is told");
        assert_eq!(parse(&format!("https://example.com/{}", "a".repeat(2048))), Err(Refused::Url));
        assert_eq!(parse("film.mp4"), Err(Refused::Url));
    }

    #[tokio::test]
    async fn a_place_that_refuses_is_not_asked_again_and_one_that_is_busy_is() {
        for (status, code) in
            [("404 Not Found", Some("source_missing")), ("503 Busy", None), ("200 OK", Some("empty_upload"))]
        {
            let (base, _) = server(move |_, _| answer(status, &[("content-length", "0")], b"")).await;
            let rig = Rig::new();
            let id = pulled(&rig, &base).await;
            let fetched = one_try(&rig, LOCAL, id).await;
            match code {
                Some(code) => refused(&fetched, code),
                None => assert!(matches!(fetched, Fetched::Nothing("source_unreachable"))),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_drips_holds_a_place_no_longer_than_fetching_may_take() {
        let rig = Rig::new();
        let id = pulled(&rig, "http://127.0.0.1:9/").await;
        let transfer = rig.stores.transfers.take_over(id).await.unwrap();
        let since = transfer.session.created_at;
        // Never silent for long enough to count as broken, and never done.
        let drip = BODY_IDLE_MAX - Duration::from_secs(1);
        let drops = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&drops);
        let body = futures::stream::repeat(counted).then(move |counted| async move {
            tokio::time::sleep(drip).await;
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(b"x"))
        });
        let (clock, spent) = (rig.clock(), Duration::from_secs(3600));
        let tried = take(&rig.stores, &clock, transfer, body.boxed(), 1 << 20);
        assert!(in_time(since, since + spent, tried).await.is_none());
        let left = PULL_FOR_MAX - spent;
        assert_eq!(
            drops.load(Ordering::Relaxed),
            left.as_secs() / drip.as_secs(),
            "as long as there was time, to its end"
        );
    }

    #[tokio::test]
    async fn fetching_that_lasts_too_long_is_given_up() {
        let rig = Rig::new();
        let id = pulled(&rig, "http://127.0.0.1:9/").await;
        rig.pass(PULL_FOR_MAX);
        refused(&one_try(&rig, LOCAL, id).await, "source_too_slow");
    }
}
