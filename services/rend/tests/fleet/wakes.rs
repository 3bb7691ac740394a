//! What happens at one API is heard at the other: at once through Redis, and without it by looking.

use std::time::Duration;

use rend_core::time::Clock;
use rend_shell::SystemClock;
use reqwest::{Client, Response};

use crate::engines::Engine;
use crate::fleet::Fleet;

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn an_event_made_at_one_api_is_heard_at_the_other_at_once_or_without_redis_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::alone(folder.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut other = Listener::at(&fleet).await;
        // Until the two have found each other, and the first connections are made.
        for _ in 0..ROUNDS {
            other.hears(&fleet).await;
        }
        let through_redis = other.rounds(&fleet).await;
        Engine::Redis.stop();
        other.hears(&fleet).await;
        let by_looking = other.rounds(&fleet).await;
        Engine::Redis.go_on();
        // Both heard everything, once and in order; what differs is when. Who looks twice a second is half a period late.
        assert!(
            through_redis * 2 < by_looking,
            "{ROUNDS} events took {through_redis:?} through redis and {by_looking:?} without it"
        );
        // And it is as before when it is back, however long that is waited for.
        for _ in 0..TRIES {
            if other.rounds(&fleet).await * 2 < by_looking {
                return;
            }
        }
        panic!("wake-ups are not carried any more");
    });
}

/// Events whose ways are added up.
const ROUNDS: u32 = 12;
/// Additions until wake-ups must be carried again.
const TRIES: usize = 10;

/// Who listens at the second API for what happens at the first.
struct Listener {
    clock: SystemClock,
    client: Client,
    stream: Response,
    heard: String,
    last: u64,
    made: u64,
}

impl Listener {
    async fn at(fleet: &Fleet) -> Self {
        let client = Client::builder().build().unwrap();
        let stream = client.get(format!("{}/v1/events", fleet.apis[1])).bearer_auth(&fleet.key).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        Self { clock: SystemClock::start(), client, stream, heard: String::new(), last: 0, made: 0 }
    }

    async fn rounds(&mut self, fleet: &Fleet) -> Duration {
        let mut all = Duration::ZERO;
        for _ in 0..ROUNDS {
            all += self.hears(fleet).await;
        }
        all
    }

    /// Makes an asset at the first API, and answers how long after the acknowledgement it was heard of at the second.
    async fn hears(&mut self, fleet: &Fleet) -> Duration {
        self.made += 1;
        let begin = self.client.post(format!("{}/v1/uploads", fleet.apis[0])).bearer_auth(&fleet.key);
        let begin = begin.header("tus-resumable", "1.0.0").header("upload-length", 10 + self.made);
        let begun = begin.send().await.unwrap();
        assert_eq!(begun.status(), 201);
        let acknowledged = self.clock.mono();
        let asset = begun.headers()["rend-asset-id"].to_str().unwrap().to_owned();
        // What is left of the one before is told first.
        while !self.next().await.contains(&asset) {}
        self.clock.mono().since(acknowledged)
    }

    /// The next event. Each has a later place than the one before.
    async fn next(&mut self) -> String {
        loop {
            if let Some((event, rest)) = self.heard.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.heard = rest;
                let Some(id) = event.lines().find_map(|line| line.strip_prefix("id:")) else { continue };
                let id = id.trim().parse().unwrap();
                assert!(id > self.last, "{id} after {}", self.last);
                self.last = id;
                return event;
            }
            let chunk = self.stream.chunk().await.unwrap().expect("the stream goes on");
            self.heard.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
