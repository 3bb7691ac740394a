use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rend_core::id::UploadId;
use tokio::sync::watch;

/// How long a request that is asked to stop may take to store what it has.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The requests of this process that send pieces, by their upload: at most one each.
///
/// A browser that lost its network leaves a request behind that may hang for minutes. The next request for the same upload
/// asks it to stop, so that what it has is stored and nothing has to be sent twice. Whether it hears that or not, it can
/// count nothing any more once the upload is taken over in the store.
#[derive(Debug, Default)]
pub(super) struct Writers(Mutex<BTreeMap<UploadId, (u64, watch::Sender<bool>)>>);

/// The place of one request. Dropping it lets the next one know.
#[derive(Debug)]
pub(super) struct Writing {
    writers: Arc<Writers>,
    id: UploadId,
    turn: u64,
    /// Says when to stop.
    pub(super) stop: watch::Receiver<bool>,
}

impl Writers {
    /// Takes the place of whoever sends for `id`, after it has stored what it has.
    pub(super) async fn replace(self: &Arc<Self>, id: UploadId) -> Writing {
        let (sender, stop) = watch::channel(false);
        let before = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = all.get(&id).map_or(0, |(turn, _)| turn + 1);
            let before = all.insert(id, (turn, sender)).map(|(_, before)| before);
            (before, turn)
        };
        let writing = Writing { writers: Arc::clone(self), id, turn: before.1, stop };
        if let Some(before) = before.0 {
            before.send_replace(true);
            let _ = tokio::time::timeout(STOP_WAIT, before.closed()).await;
        }
        writing
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut all = self.writers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&self.id).is_some_and(|(turn, _)| *turn == self.turn) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_request_asks_the_one_before_to_stop_and_waits_for_it() {
        let writers = Arc::new(Writers::default());
        let id = UploadId::from_bytes([1; 16]);
        let first = writers.replace(id).await;
        let other = writers.replace(UploadId::from_bytes([2; 16])).await;
        let mut heard = first.stop.clone();
        let storing = rend_shell::spawn("test", async move {
            heard.wait_for(|stop| *stop).await.unwrap();
            drop(heard);
            drop(first);
        });
        let second = writers.replace(id).await;
        storing.await.unwrap();
        assert!(!*second.stop.borrow() && !*other.stop.borrow());
        drop((second, other));
        assert!(writers.0.lock().unwrap().is_empty(), "nothing is remembered of requests that ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_hear_is_not_waited_for_long() {
        let writers = Arc::new(Writers::default());
        let id = UploadId::from_bytes([1; 16]);
        let _deaf = writers.replace(id).await;
        let _next = writers.replace(id).await;
    }
}
