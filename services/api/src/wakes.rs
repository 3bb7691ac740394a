//! Carries wake-ups between the processes of a fleet, through Redis.
//!
//! A wake-up says that the event log has grown and nothing else. While Redis is away nothing is lost: who follows the log
//! looks at it twice a second, and workers ask for jobs every poll interval; only the moment between is longer.

use std::time::Duration;

use rend_shell::Shutdown;
use rend_storage::StoreError;
use rend_storage::redis::{Listening, Redis};
use tokio::sync::watch;

use crate::bus::Bus;

/// Carries until a stop is requested: what this process appends is told to the others, and what they tell wakes `bus`.
pub async fn carry(bus: Bus, redis: Redis, mut shutdown: Shutdown) {
    let own_name: String = rend_shell::entropy::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut own = bus.listen_to_own();
    let (mut wait, mut told) = (WAIT_MIN, false);
    loop {
        let ended = tokio::select! {
            ended = talk(&bus, &redis, &own_name, &mut own) => ended,
            () = shutdown.requested() => return,
        };
        match ended {
            // It had worked, so it is worth trying again soon.
            Ok(()) => (wait, told) = (WAIT_MIN, false),
            Err(error) if !told => {
                tracing::warn!(%error, "redis is away; the event log is looked at twice a second meanwhile");
                told = true;
            }
            Err(_) => {}
        }
        // Whatever was said while nobody listened may have been missed.
        bus.wake_for_another();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.requested() => return,
        }
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Talks and listens until the connection breaks, which is no error once it was made.
async fn talk(bus: &Bus, redis: &Redis, own_name: &str, own: &mut watch::Receiver<u64>) -> Result<(), StoreError> {
    let mut listening: Listening = redis.listen(CHANNEL).await?;
    tracing::info!("wake-ups are carried through redis");
    own.mark_unchanged();
    loop {
        tokio::select! {
            heard = listening.heard() => match heard {
                Some(name) if name == own_name => {}
                Some(_) => bus.wake_for_another(),
                None => return Ok(()),
            },
            changed = own.changed() => {
                if changed.is_err() || redis.say(CHANNEL, own_name).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Where processes tell each other that something happened.
const CHANNEL: &str = "wakes";
/// How long until Redis is tried again, at first and at most.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(15);
