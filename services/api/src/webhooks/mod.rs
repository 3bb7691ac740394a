//! Tells owners of events: a round at a time, each endpoint by one process at a time.
//!
//! What a round begins, and what its outcome means, is [`rend_core::webhook::deliver`]'s to say. Here the log is read,
//! requests are sent, and rows are replaced; a row that its owner changed meanwhile is read again and the outcome applied
//! to what it has become.

mod send;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rend_core::event::{Event, EventKind};
use rend_core::id::WebhookId;
use rend_core::webhook::deliver::{ANSWER_WITHIN, ROUND_MAX, Round};
use rend_core::webhook::{Endpoint, State as EndpointState};
use rend_storage::StoreError;
use rend_storage::events::EventsOf;

use crate::state::State;

pub(crate) use send::{Message, Sender, Sent};

/// How often endpoints are looked at when nothing wakes the loop.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the loop rests between two looks, however often it is woken.
const REST: Duration = Duration::from_millis(100);
/// Events of the log that are read at a time, wanted or not.
const PAGE: usize = 200;
/// How often a row that somebody else changed is read again for one change.
const RACES_MAX: usize = 20;

/// Tells until a stop is requested. A round that is under way then ends first: that takes [`ANSWER_WITHIN`] at most.
pub(crate) async fn run(state: Arc<State>) {
    let (holder, busy) = (rend_shell::entropy::<8>(), Arc::new(Mutex::new(BTreeSet::new())));
    let mut shutdown = state.shutdown.clone();
    let mut woken = state.bus.listen();
    loop {
        woken.mark_unchanged();
        if let Err(error) = look(&state, holder, &busy).await {
            tracing::warn!(%error, "the endpoints of webhooks could not be read; they are told once they can be");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = woken.changed() => {}
            () = shutdown.requested() => break,
        }
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = shutdown.requested() => break,
        }
    }
    let under_way = async {
        while !lock(&busy).is_empty() {
            tokio::time::sleep(REST).await;
        }
    };
    let _ = tokio::time::timeout(ANSWER_WITHIN + LOOK_EVERY, under_way).await;
}

/// Whom this process sends to at this moment.
type Busy = Arc<Mutex<BTreeSet<WebhookId>>>;

fn lock(busy: &Busy) -> std::sync::MutexGuard<'_, BTreeSet<WebhookId>> {
    busy.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to send to every endpoint for which there is something to do and to which nobody sends.
async fn look(state: &Arc<State>, holder: [u8; 8], busy: &Busy) -> Result<(), StoreError> {
    let rows = state.stores.webhooks.webhooks(state.config.org).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let head = state.stores.events.head().await?;
    let now = state.clock.wall();
    for row in rows {
        if let EndpointState::Disabled { tell: Some(_), .. } = row.state {
            tell_of_end(state, &row).await?;
        }
        let wanted = row.is_active() && row.progress.has_work(head, now);
        if !wanted || row.progress.leased(holder, now).is_none() || !lock(busy).insert(row.id) {
            continue;
        }
        let (state, busy) = (Arc::clone(state), Arc::clone(busy));
        rend_shell::spawn("webhook", async move {
            let told = Told { busy, id: row.id };
            if let Err(error) = tell(&state, row.id, holder).await {
                tracing::warn!(endpoint = %row.id, %error, "an endpoint could not be told; it is tried again");
            }
            drop(told);
        });
    }
    Ok(())
}

/// Gives the endpoint back when the task ends, also when it panics.
struct Told {
    busy: Busy,
    id: WebhookId,
}

impl Drop for Told {
    fn drop(&mut self) {
        lock(&self.busy).remove(&self.id);
    }
}

/// Notes in the history of an asset that whoever was to be told of it was given up. It is noted before that is written
/// down, so that a crash notes it twice rather than never.
async fn tell_of_end(state: &State, row: &Endpoint) -> Result<(), StoreError> {
    let EndpointState::Disabled { why, tell: Some(asset), .. } = row.state else { return Ok(()) };
    tracing::warn!(endpoint = %row.id, why = why.as_str(), "an endpoint of webhooks was disabled");
    let kind = EventKind::WebhookDisabled { endpoint: row.id, why };
    match state.stores.events.append(asset, &kind, state.clock.wall()).await {
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    state.bus.wake();
    change(state, row.id, |row| {
        let mut row = row.clone();
        if let EndpointState::Disabled { tell, .. } = &mut row.state {
            *tell = None;
        }
        Some(row)
    })
    .await
    .map(drop)
}

/// Changes a row by `how`, again on what it has become when somebody else was faster. `None` leaves it as it is.
///
/// # Errors
///
/// What the store answers; [`StoreError::Conflict`] when others are faster again and again.
pub(crate) async fn change(
    state: &State,
    id: WebhookId,
    mut how: impl FnMut(&Endpoint) -> Option<Endpoint> + Send,
) -> Result<Option<Endpoint>, StoreError> {
    let mut last = StoreError::Conflict { what: "webhook endpoint" };
    for _ in 0..RACES_MAX {
        let row = state.stores.webhooks.webhook(id).await?;
        let Some(next) = how(&row) else { return Ok(None) };
        match state.stores.webhooks.replace_webhook(&next).await {
            Err(error @ StoreError::Conflict { .. }) => last = error,
            answer => return answer.map(Some),
        }
    }
    Err(last)
}

/// Sends to one endpoint, round after round, as long as there is something to send.
async fn tell(state: &Arc<State>, id: WebhookId, holder: [u8; 8]) -> Result<(), StoreError> {
    let sender = Sender::new(state.config.webhook_guard);
    let shutdown = state.shutdown.clone();
    loop {
        let now = state.clock.wall();
        let leased = change(state, id, |row| {
            let progress = row.progress.leased(holder, now).filter(|_| row.is_active())?;
            Some(Endpoint { progress, ..row.clone() })
        })
        .await;
        let row = match leased {
            Ok(Some(row)) => row,
            // Somebody else sends, or nobody wants it any more.
            Ok(None) | Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let round = match &sender {
            Ok(sender) => go_round(state, sender, &row).await?,
            Err(_) => return Err(StoreError::Unavailable("there is no TLS provider to send with".into())),
        };
        let head = state.stores.events.head().await?;
        let now = state.clock.wall();
        let mut prng = rend_shell::seeded();
        let settled = change(state, id, |row| {
            let mut next = row.after(&round, now, &mut prng);
            // With nothing more to do somebody else may be the next.
            if !next.progress.has_work(head, now) || shutdown.is_requested() {
                next.progress.lease = next.progress.lease.filter(|lease| lease.holder != holder);
            }
            Some(next)
        })
        .await;
        match settled {
            Ok(Some(row)) if !row.is_active() => return tell_of_end(state, &row).await,
            Ok(Some(row)) if row.progress.has_work(head, now) && !shutdown.is_requested() => {}
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Sends what is due and what is new, begun in the order of the log, and answers what came of it.
async fn go_round(state: &State, sender: &Sender, row: &Endpoint) -> Result<Round, StoreError> {
    let now = state.clock.wall();
    let mut round = Round { read_from: row.progress.cursor, read_to: row.progress.cursor, ..Round::default() };
    let mut events = Vec::with_capacity(ROUND_MAX);
    for seq in row.progress.due(now) {
        match event_at(state, row, seq).await? {
            Some(event) => events.push(event),
            None => round.vanished.push(seq),
        }
    }
    let room = row.progress.room(events.len());
    let of = EventsOf::Org(row.org);
    let head = state.stores.events.head().await?;
    let (mut fresh, mut all) = (0, false);
    while fresh < room && !all {
        let page = state.stores.events.after(of, round.read_to, PAGE).await?;
        all = page.len() < PAGE;
        for event in page {
            round.read_to = event.seq;
            if row.wants.has(event.kind.name()) {
                events.push(event);
                fresh += 1;
                if fresh == room {
                    break;
                }
            }
        }
    }
    if fresh < room {
        // What lies between belongs to others; what comes meanwhile has a higher place than the head had.
        round.read_to = round.read_to.max(head);
    }
    let tries = events.iter().map(|event| async move {
        let sent = sender.send(row, &Message::of(event), now).await;
        (event.seq, (sent.reply(), event.asset))
    });
    round.replies = join_all(tries).await.into_iter().collect();
    Ok(round)
}

/// The event at `seq`, if it is this endpoint's and still in the log.
pub(crate) async fn event_at(state: &State, row: &Endpoint, seq: u64) -> Result<Option<Event>, StoreError> {
    let before = seq.saturating_sub(1);
    let found = state.stores.events.after(EventsOf::Org(row.org), before, 1).await?;
    Ok(found.into_iter().next().filter(|event| event.seq == seq))
}

#[cfg(test)]
mod tests;
