//! What those who use the fleet know of it, and what they write down.

use std::sync::Mutex;
use std::time::Duration;

use rend_core::time::{Clock, Mono};
use rend_shell::SystemClock;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::tally::Tally;
use crate::fleet::{EDGES, Fleet};

/// What uploaders, players and deleters share.
pub(super) struct World {
    client: Client,
    clock: SystemClock,
    /// Where callers reach the APIs.
    apis: [String; 2],
    /// Where viewers reach the edges.
    edges: [String; 2],
    key: String,
    /// What players got.
    pub(super) tally: Mutex<Tally>,
}

/// The right to watch one asset, and what is published of it.
pub(super) struct Ticket {
    pub(super) id: String,
    pub(super) cookie: String,
    /// Where to play from, best first, as places in [`EDGES`].
    pub(super) order: Vec<usize>,
    /// Every path with its length and digest.
    pub(super) published: Vec<(String, u64, String)>,
}

impl Ticket {
    /// The same right once more.
    pub(super) fn again(&self) -> Self {
        let Self { id, cookie, order, published } = self;
        Self { id: id.clone(), cookie: cookie.clone(), order: order.clone(), published: published.clone() }
    }
}

impl World {
    pub(super) fn of(fleet: &Fleet) -> Self {
        let client = Client::builder().connect_timeout(Duration::from_secs(1)).timeout(ASK_WITHIN);
        Self {
            client: client.redirect(reqwest::redirect::Policy::none()).build().unwrap(),
            clock: SystemClock::start(),
            apis: fleet.apis.clone(),
            edges: fleet.edges.clone(),
            key: fleet.key.clone(),
            tally: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Mono {
        self.clock.mono()
    }

    /// A request to one of the APIs, by whoever holds the key.
    pub(super) fn api(&self, which: usize, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.apis[which % 2])).bearer_auth(&self.key)
    }

    /// A viewer's request to one of the edges.
    pub(super) fn edge(&self, edge: usize, ticket: &Ticket, path: &str) -> RequestBuilder {
        let url = format!("{}/v/{}/{path}", self.edges[edge], ticket.id);
        self.client.get(url).header("cookie", &ticket.cookie)
    }

    /// What an API says at `path`, asked in turn until one answers with a success.
    pub(super) async fn ask(&self, path: &str) -> Value {
        for turn in 0..TRIES {
            if let Ok(answer) = self.api(turn, Method::GET, path).send().await
                && answer.status().is_success()
                && let Ok(said) = answer.json().await
            {
                return said;
            }
            moment().await;
        }
        panic!("no API answers {path}");
    }

    /// Opens the player page of an asset.
    pub(super) async fn open(&self, id: &str) -> Ticket {
        let answer = self.api(0, Method::GET, &format!("/api/player/{id}")).send().await.unwrap();
        let cookies = answer.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned());
        let mut playback =
            cookies.filter(|line| line.starts_with("rend_pb=")).map(|line| line.split(';').next().unwrap().to_owned());
        let cookie = playback.next().unwrap();
        let bootstrap: Value = answer.json().await.unwrap();
        let fallbacks = bootstrap["fallbacks"].as_array().unwrap().iter().map(|fallback| &fallback["playback_url"]);
        let order = [&bootstrap["playback_url"]].into_iter().chain(fallbacks).map(|url| {
            let url = url.as_str().unwrap();
            self.edges.iter().position(|edge| url.starts_with(edge.as_str())).unwrap()
        });
        let order = order.collect();
        let listed = self.ask(&format!("/v1/assets/{id}/artifacts")).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let published = listed["data"].as_array().unwrap().iter();
        let published = published
            .map(|artifact| (text(&artifact["path"]), artifact["bytes"].as_u64().unwrap(), text(&artifact["sha256"])))
            .collect();
        Ticket { id: id.to_owned(), cookie, order, published }
    }

    /// A process is dead. What an edge answered just before need not have been on its disk.
    pub(super) fn killed(&self, name: &str) {
        if let Some(edge) = EDGES.iter().position(|edge| *edge == name) {
            self.tally.lock().unwrap().killed(edge, self.now());
        }
    }

    /// Waits for the second heartbeat of an edge after `since`: what the first one brought is carried out by then.
    pub(super) async fn beaten(&self, edge: usize, since: Mono) {
        let mut last = since;
        let mut beats = 0;
        for _ in 0..TRIES * 4 {
            let asked = self.now();
            let fleet = self.ask("/v1/fleet").await;
            let rows = fleet["edges"].as_array().unwrap();
            let row = rows.iter().find(|row| row["id"] == EDGES[edge]).unwrap();
            let age = Duration::from_millis(row["heartbeat_age_ms"].as_u64().unwrap());
            // Its age is at least what it was when it was asked for, and half an interval tells two beats apart.
            let later = asked.since(last).checked_sub(age);
            if row["live"] == true && later.is_some_and(|later| later > BEAT_EVERY / 2) {
                last = last + later.unwrap_or_default();
                beats += 1;
                if beats == 2 {
                    return;
                }
            }
            moment().await;
        }
        panic!("{} does not beat any more", EDGES[edge]);
    }

    /// Nothing of `deleted` is served by an edge any more.
    pub(super) async fn gone(&self, edge: usize, deleted: &[Ticket]) {
        for ticket in deleted {
            for (path, ..) in &ticket.published {
                let mut answer = None;
                // Nothing else is wrong now; a connection of before may still be a broken one.
                for _ in 0..TRIES {
                    answer = self.edge(edge, ticket, path).send().await.ok().map(|answer| answer.status());
                    if answer.is_some() {
                        break;
                    }
                    moment().await;
                }
                let gone = answer.is_some_and(|status| matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE));
                assert!(gone, "{} answers {answer:?} for {path} of the deleted {}", EDGES[edge], ticket.id);
            }
        }
    }

    /// Waits until no edge has anything left to tell.
    pub(super) async fn settled(&self) {
        for edge in [0, 1] {
            self.beaten(edge, self.now()).await;
        }
        let mut fleet = Value::Null;
        for _ in 0..TRIES * 4 {
            fleet = self.ask("/v1/fleet").await;
            if fleet["edges"].as_array().unwrap().iter().all(|row| row["spool_events"] == 0) {
                return;
            }
            moment().await;
        }
        panic!("what was served is not told: {fleet}");
    }
}

/// A moment, before something is tried again.
pub(super) async fn moment() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// How long a request may take: whoever stands still is given up for another.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// How often is tried what must work in the end.
pub(super) const TRIES: usize = 300;
/// How often edges beat.
const BEAT_EVERY: Duration = Duration::from_secs(1);
