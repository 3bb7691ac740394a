//! A player: master, media playlist, segments, one after the other, from the edges that the bootstrap names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::tally::Ended;
use super::world::{TRIES, Ticket, World, moment};

/// What a player has seen.
#[derive(Default)]
pub(super) struct Played {
    /// Segments, each whole and as it was published.
    pub(super) segments: usize,
    /// How often it went on at another edge.
    pub(super) changes: usize,
}

/// Plays until `over`, from the beginning again after the end, with one bootstrap for all of it. It begins at the `first`
/// of the edges that the bootstrap names and stays with one for as long as that answers.
pub(super) async fn watch(world: &World, id: &str, first: usize, over: &AtomicBool) -> Played {
    let ticket = world.open(id).await;
    let mut player = Player { world, ticket: &ticket, at: first, played: Played::default() };
    let master = player.fetch("hls/master.m3u8").await;
    let variant = format!("hls/{}", uris(&master)[0]);
    let folder = variant.rsplit_once('/').unwrap().0.to_owned();
    while !over.load(Ordering::Relaxed) {
        let playlist = player.fetch(&variant).await;
        let segments = uris(&playlist);
        assert!(segments.len() > 2, "{playlist}", playlist = String::from_utf8_lossy(&playlist));
        for segment in &segments {
            player.fetch(&format!("{folder}/{segment}")).await;
            player.played.segments += 1;
            tokio::time::sleep(BETWEEN).await;
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    player.played
}

struct Player<'w> {
    world: &'w World,
    ticket: &'w Ticket,
    /// Where it plays from, as a place in the ticket's order.
    at: usize,
    played: Played,
}

impl Player<'_> {
    /// The bytes under `path`, from whichever edge has them. It never goes back to the API.
    async fn fetch(&mut self, path: &str) -> Vec<u8> {
        let (_, bytes, sha256) = self.ticket.published.iter().find(|(known, ..)| known == path).unwrap();
        for _ in 0..TRIES {
            let order = &self.ticket.order;
            let edge = order[self.at % order.len()];
            let (ended, body) = self.once(edge, path, *bytes).await;
            self.world.tally.lock().unwrap().note(edge, path, self.world.now(), ended);
            if let Some(body) = body {
                let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(digest, *sha256, "{path} is not what was published");
                return body;
            }
            self.at += 1;
            self.played.changes += 1;
            moment().await;
        }
        panic!("{path} is to be had nowhere");
    }

    async fn once(&self, edge: usize, path: &str, bytes: u64) -> (Ended, Option<Vec<u8>>) {
        match self.world.edge(edge, self.ticket, path).send().await {
            // Nobody took the request.
            Err(error) if error.is_connect() => (Ended::Unserved, None),
            Err(_) => (Ended::Unsure(bytes), None),
            Ok(answer) if answer.status() != 200 => (Ended::Unserved, None),
            Ok(answer) => match answer.bytes().await {
                Ok(body) if body.len() as u64 == bytes => (Ended::Whole(bytes), Some(body.to_vec())),
                Ok(_) | Err(_) => (Ended::Unsure(bytes), None),
            },
        }
    }
}

/// The lines of a playlist that name something.
fn uris(playlist: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(playlist);
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Between two segments.
const BETWEEN: Duration = Duration::from_millis(120);
