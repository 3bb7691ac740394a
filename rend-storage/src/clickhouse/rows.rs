//! Rows as ClickHouse reads them in `RowBinary`: one value after the other, numbers with their low byte first, a text after
//! its length, a value that may be absent after a byte that is 1 when it is.

use rend_core::analytics::{PlaybackBatch, PlaybackEvent};
use rend_core::time::Timestamp;
use rend_core::viewing::PlayerEvent;
use sha2::{Digest, Sha256};

/// Statement and columns of the responses, in the order in which [`event`] writes them.
pub(super) const INSERT_EVENTS: &str = "INSERT INTO edge_events (event_id, node, observed_ms, observed_at, org, asset, \
     session, path, object_bytes, bytes_sent, range_start, status, cache, ttfb_us, duration_ms, aborted, ingested_at) \
     FORMAT RowBinary";
/// The same of their names.
pub(super) const INSERT_IDS: &str = "INSERT INTO edge_event_ids (event_id, node, ingested_at) FORMAT RowBinary";
/// The same of what a batch says of its run.
pub(super) const INSERT_BATCH: &str = "INSERT INTO ingest_batches (batch_id, node, boot, first_seq, last_seq, rows, \
     dropped, ingested_at) FORMAT RowBinary";

/// The same of what players saw, in the order in which [`player`] and [`ingested`] write them.
pub(super) const INSERT_PLAYER: &str = "INSERT INTO player_events (view, seq, observed_ms, observed_at, org, asset, viewer, \
     phase, startup_ms, playing_ms, stalled_ms, rung, edge, device, ingested_at) FORMAT RowBinary";

/// The latest time that keys and partitions tell apart, in milliseconds: the start of the year 2100.
pub(super) const PLACED_MS_MAX: u64 = 4_102_444_800_000;

/// A time as keys and partitions have it.
pub(super) fn placed(at: Timestamp) -> i64 {
    at.as_millis().min(PLACED_MS_MAX).cast_signed()
}

/// One response.
pub(super) fn event(row: &mut Vec<u8>, event: &PlaybackEvent, now: Timestamp) {
    content(row, event);
    row.extend(placed(now).to_le_bytes());
}

/// The name of one response.
pub(super) fn id(row: &mut Vec<u8>, event: &PlaybackEvent, now: Timestamp) {
    row.extend(event.id());
    text(row, event.node.as_str().as_bytes());
    row.extend(placed(now).to_le_bytes());
}

/// What a batch says of its run.
pub(super) fn batch(row: &mut Vec<u8>, batch_id: [u8; 32], batch: &PlaybackBatch, now: Timestamp) {
    let seqs = || batch.events.iter().map(|event| event.seq);
    row.extend(batch_id);
    text(row, batch.node.as_str().as_bytes());
    row.extend(batch.boot);
    row.extend(seqs().min().unwrap_or(0).to_le_bytes());
    row.extend(seqs().max().unwrap_or(0).to_le_bytes());
    row.extend((batch.events.len() as u64).to_le_bytes());
    row.extend(batch.dropped_total.to_le_bytes());
    row.extend(placed(now).to_le_bytes());
}

/// One moment of a view, all but the time of its recording.
pub(super) fn player(row: &mut Vec<u8>, event: &PlayerEvent) {
    row.extend(event.view);
    row.extend(event.seq.to_le_bytes());
    row.extend(event.at.as_millis().to_le_bytes());
    row.extend(placed(event.at).to_le_bytes());
    row.extend(event.org.as_bytes());
    row.extend(event.asset.as_bytes());
    row.extend(event.viewer);
    text(row, event.phase.as_str().as_bytes());
    match event.startup_ms {
        Some(millis) => {
            row.push(0);
            row.extend(millis.to_le_bytes());
        }
        None => row.push(1),
    }
    row.extend(event.playing_ms.to_le_bytes());
    row.extend(event.stalled_ms.to_le_bytes());
    text(row, event.rung.map_or_else(String::new, |rung| rung.to_string()).as_bytes());
    text(row, event.edge.as_ref().map_or("", |edge| edge.as_str()).as_bytes());
    text(row, event.device.as_str().as_bytes());
}

/// When a row was recorded.
pub(super) fn ingested(row: &mut Vec<u8>, now: Timestamp) {
    row.extend(placed(now).to_le_bytes());
}

/// A name for exactly these rows.
pub(super) fn sha256(rows: &[u8]) -> [u8; 32] {
    Sha256::digest(rows).into()
}

/// A name for exactly these events of exactly this run: the same batch has it again, however late it comes.
pub(super) fn digest<'e>(batch: &PlaybackBatch, events: impl IntoIterator<Item = &'e PlaybackEvent>) -> [u8; 32] {
    let mut row = Vec::new();
    text(&mut row, batch.node.as_str().as_bytes());
    row.extend(batch.boot);
    row.extend(batch.dropped_total.to_le_bytes());
    let mut digest = Sha256::new_with_prefix(&row);
    for event in events {
        row.clear();
        content(&mut row, event);
        digest.update(&row);
    }
    digest.finalize().into()
}

/// A response, all but the time of its recording.
fn content(row: &mut Vec<u8>, event: &PlaybackEvent) {
    row.extend(event.id());
    text(row, event.node.as_str().as_bytes());
    row.extend(event.observed_at.as_millis().to_le_bytes());
    row.extend(placed(event.observed_at).to_le_bytes());
    text(row, event.org.as_ref().map_or(&[][..], |org| org.as_bytes()));
    row.extend(event.asset.as_bytes());
    text(row, event.session.as_ref().map_or(&[][..], |session| session));
    text(row, event.path.to_string().as_bytes());
    match event.object_bytes {
        Some(bytes) => {
            row.push(0);
            row.extend(bytes.to_le_bytes());
        }
        None => row.push(1),
    }
    row.extend(event.bytes_sent.to_le_bytes());
    row.extend(event.range_start.to_le_bytes());
    row.extend(event.status.to_le_bytes());
    text(row, event.cache.as_str().as_bytes());
    row.extend(event.ttfb_us.to_le_bytes());
    row.extend(event.duration_ms.to_le_bytes());
    row.push(u8::from(event.aborted));
}

fn text(row: &mut Vec<u8>, text: &[u8]) {
    let mut len = text.len();
    // Seven bits a byte, the lowest first; all but the last have the high bit.
    while len >= 0x80 {
        row.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    row.push(len as u8);
    row.extend(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(len: usize, expect: &[u8]) {
        let mut row = Vec::new();
        text(&mut row, &vec![b'x'; len]);
        assert_eq!(row[..row.len() - len], *expect);
    }

    #[test]
    fn a_text_stands_after_its_length() {
        check(0, &[0]);
        check(127, &[127]);
        check(128, &[0x80, 1]);
        check(300, &[0xac, 2]);
        check(16_384, &[0x80, 0x80, 1]);
    }

    #[test]
    fn every_time_has_a_place() {
        for (millis, place) in [(0, 0), (1, 1), (PLACED_MS_MAX, 4_102_444_800_000), (u64::MAX, 4_102_444_800_000)] {
            assert_eq!(placed(Timestamp::from_millis(millis)), place);
        }
    }
}
