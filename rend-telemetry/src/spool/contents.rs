//! What a segment's bytes hold.

use rend_core::id::EdgeId;

use super::segment::{self, End, Frame};

/// What was read of a segment.
pub(super) struct Contents {
    pub(super) header: Option<([u8; 8], EdgeId)>,
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) end: End,
}

impl Default for Contents {
    fn default() -> Self {
        Self { header: None, payloads: Vec::new(), end: End::Whole }
    }
}

/// The header and events of a segment. A damaged header does not take the events behind it along: the run stands in the
/// file's name too.
pub(super) fn contents(bytes: &[u8]) -> Contents {
    let mut content = segment::read(bytes);
    if content.good_bytes == 0 && content.end == End::Torn {
        let behind = (1..=HEADER_BYTES_MAX.min(bytes.len())).map(|at| segment::read(&bytes[at..]));
        if let Some(rest) = behind.into_iter().find(|rest| matches!(rest.frames.first(), Some(Frame::Event(_)))) {
            content = rest;
        }
    }
    let mut out = Contents { end: content.end, ..Contents::default() };
    for frame in content.frames {
        match frame {
            Frame::Header { boot, node } => out.header = Some((boot, node)),
            Frame::Event(payload) => out.payloads.push(payload),
            Frame::Acked { .. } | Frame::Dropped { .. } => {}
        }
    }
    out
}

/// The longest frame of a header.
const HEADER_BYTES_MAX: usize = segment::FRAME_HEAD_BYTES + 1 + 1 + 8 + 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_header_does_not_take_its_events_along() {
        let mut bytes = Vec::new();
        Frame::Header { boot: [1; 8], node: "ash-1".parse().unwrap() }.write(&mut bytes);
        segment::write_event(b"{\"a\":1}", &mut bytes);
        for at in 0..bytes.len() - 16 {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let found = contents(&bad);
            assert_eq!(found.payloads.len(), 1, "damaged at {at}");
        }
    }
}
