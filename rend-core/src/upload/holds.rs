//! What must hold of an upload in pieces, whatever its writers do: a model beside [`judge`] and [`Transfer::after`].

use std::collections::BTreeMap;

use super::sweep::SESSION_KEPT;
use super::transfer::{NotNext, PART_BYTES_MAX, Part, Pull, Step, Transfer};
use super::tus::{Piece, Verdict, judge};
use super::{UploadSession, UploadState};
use crate::artifact::ObjectKey;
use crate::id::{AssetId, OrgId, UploadId};
use crate::time::Timestamp;

/// What must hold for any bytes, taken as the story of an upload: the parts that count are the file, from its first byte on
/// without a gap, and only the newest writer adds to them. Answers how many things happened.
///
/// The first two bytes say how long the file is and whether it is sent or fetched. Then come three bytes for each thing that
/// happens: what it is, who does it, and how much of it.
#[doc(hidden)]
pub fn transfers_hold(story: &[u8]) -> usize {
    let [long, kind, rest @ ..] = story else { return 0 };
    let mut model = Model::new(usize::from(*long) * 2 + 1, kind % 4 == 3);
    let mut count = 0;
    for three in rest.chunks_exact(3) {
        let [what, who, much] = three else { continue };
        model.happens(*what, *who, usize::from(*much));
        model.holds();
        count += 1;
    }
    model.composed();
    count
}

/// An upload, and what a reader of its story knows to be true of it.
struct Model {
    file: Vec<u8>,
    transfer: Transfer,
    now: Timestamp,
    /// What writers believe: their epoch, and where they are. The newest comes last.
    writers: Vec<(u64, u64)>,
    /// What is stored, counted or not.
    objects: BTreeMap<ObjectKey, Vec<u8>>,
    counted: Vec<Part>,
    /// What the counted parts hold, one after another.
    held: Vec<u8>,
}

impl Model {
    fn new(bytes: usize, is_pull: bool) -> Self {
        let now = Timestamp::from_secs(1000);
        let session = UploadSession {
            id: UploadId::from_bytes([1; 16]),
            asset: AssetId::from_bytes([2; 16]),
            org: OrgId::from_bytes([3; 16]),
            bytes_expected: (!is_pull).then_some(bytes as u64),
            state: UploadState::Open,
            expires_at: now + SESSION_KEPT,
            created_at: now,
        };
        let pull = is_pull.then(|| Pull { url: "https://example.com/film".into(), validator: None });
        let transfer = Transfer::new(session, String::new(), pull);
        let writers = vec![(0, 0)];
        let (objects, counted, held) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { file: file(bytes, 0), transfer, now, writers, objects, counted, held }
    }

    fn is_open(&self) -> bool {
        self.transfer.session.state == UploadState::Open
    }

    fn happens(&mut self, what: u8, who: u8, much: usize) {
        match what % 8 {
            0 => self.begins(),
            1..=3 => self.sends(who, 1 + much % 40),
            4 => {
                self.judged(Piece { offset: much as u64 * 2, bytes: Some(u64::from(who)).filter(|_| who > 9) });
            }
            5 => self.forges(who, much),
            6 => self.now = self.now + SESSION_KEPT.mul_f64(much as f64 / 1024.0),
            _ => self.turns(who),
        }
    }

    fn begins(&mut self) {
        match self.transfer.taken_over() {
            Ok(next) => {
                assert!(self.is_open() && next.epoch > self.transfer.epoch, "each writer has an epoch of its own");
                assert_eq!(next, Transfer { epoch: next.epoch, ..self.transfer.clone() }, "and nothing else changes");
                self.writers.push((next.epoch, next.received));
                self.transfer = next;
            }
            Err(refused) => assert!(refused == NotNext::Ended && !self.is_open(), "{refused}"),
        }
    }

    /// One of the last four writers sends some of the file, in one part or in two, which are stored and then, perhaps, counted.
    fn sends(&mut self, who: u8, bytes: usize) {
        let place = self.writers.len().saturating_sub(1 + usize::from(who % 4));
        let Some((epoch, at)) = self.writers.get(place).copied() else { return };
        let verdict = self.judged(Piece { offset: at, bytes: (who & 64 != 0).then_some(bytes as u64) });
        let is_newest = epoch == self.transfer.epoch;
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(self.file.len());
        let mut end = (start + bytes).min(self.file.len());
        if is_newest && self.transfer.pull.is_none() {
            // The service hears the judge first, and takes no more than it says. Who was overtaken meanwhile stores on.
            let Verdict::Take { bytes_max } = verdict else { return };
            end = end.min(start + usize::try_from(bytes_max).unwrap_or(usize::MAX).min(self.file.len()));
        }
        let middle = if who & 32 != 0 { start + (end - start) / 2 } else { end };
        let mut parts = Vec::new();
        for (start, end) in [(start, middle), (middle, end)] {
            if start < end {
                let part = Part { start: start as u64, bytes: (end - start) as u64, epoch };
                self.objects.insert(part.key(self.transfer.session.id), self.file[start..end].to_vec());
                parts.push(part);
            }
        }
        if who & 128 != 0 || parts.is_empty() {
            return;
        }
        let expires_at = self.now + SESSION_KEPT;
        match self.transfer.after(epoch, &Step::Append { parts: parts.clone(), expires_at }) {
            Ok(next) => {
                assert!(is_newest && self.is_open(), "only the newest writer counts");
                assert_eq!((next.received, next.session.expires_at), (end as u64, expires_at));
                for part in &parts {
                    self.held.extend_from_slice(&self.objects[&part.key(next.session.id)]);
                }
                self.counted.extend(parts);
                self.writers[place].1 = next.received;
                self.transfer = next;
            }
            Err(refused) => {
                let expect = if self.is_open() { NotNext::TakenOver } else { NotNext::Ended };
                assert!(refused == expect && (!is_newest || !self.is_open()), "{refused}");
            }
        }
    }

    /// What is asked is judged by where the upload stands, and by nothing else.
    fn judged(&self, piece: Piece) -> Verdict {
        let verdict = judge(&self.transfer, piece, self.now);
        let Transfer { session, received, .. } = &self.transfer;
        let missing = session.bytes_expected.unwrap_or(u64::MAX) - received;
        let is_late = self.now >= session.expires_at && !self.transfer.is_whole();
        let is_gone = session.state == UploadState::Abandoned || self.is_open() && is_late;
        let is_elsewhere = !is_gone && piece.offset != *received;
        assert_eq!(verdict == Verdict::Gone, is_gone, "{piece:?}");
        assert_eq!(verdict == Verdict::Elsewhere { received: *received }, is_elsewhere, "{piece:?}");
        match verdict {
            Verdict::Take { bytes_max } => {
                assert!(bytes_max == missing && missing > 0 && piece.bytes.is_none_or(|bytes| bytes <= missing));
            }
            Verdict::Whole => assert!(missing == 0 && piece.bytes.is_none_or(|bytes| bytes == 0), "{piece:?}"),
            Verdict::TooLong { bytes_max } => {
                assert!(bytes_max == missing && piece.bytes.is_some_and(|bytes| bytes > missing), "{piece:?}");
            }
            Verdict::Elsewhere { .. } | Verdict::Gone => {}
        }
        verdict
    }

    /// A part that is not the next one does not count, whoever says so.
    fn forges(&self, who: u8, much: usize) {
        let Transfer { session, received, epoch, .. } = &self.transfer;
        let near = received.saturating_add(much as u64 % 4);
        let start = [*received, near, received.saturating_sub(1), u64::MAX - much as u64][usize::from(who % 4)];
        let bytes = [1, 0, much as u64 * 16, u64::MAX][usize::from(who / 4 % 4)];
        let (said, written) = (epoch ^ u64::from(who & 16 != 0), epoch ^ u64::from(who & 32 != 0));
        let step = Step::Append { parts: vec![Part { start, bytes, epoch: written }], expires_at: self.now };
        let fits = session.bytes_expected.unwrap_or(u64::MAX) - received;
        let is_next = start == *received && bytes > 0 && bytes <= fits && said == *epoch && written == *epoch;
        assert_eq!(self.transfer.after(said, &step).is_ok(), is_next && self.is_open(), "{step:?}");
    }

    /// A file that is fetched is told to have a length, or to have changed; an upload ends.
    fn turns(&mut self, who: u8) {
        let is_pull = self.transfer.pull.is_some();
        let learn = |bytes| Step::Learn { bytes_expected: Some(bytes), validator: Some("\"v\"".into()) };
        let (len, epoch) = (self.file.len() as u64, self.transfer.epoch);
        match who % 16 {
            0 => self.ends(UploadState::Abandoned),
            1 if self.transfer.is_whole() => self.ends(UploadState::Complete),
            2..=5 => match self.transfer.after(epoch, &Step::Restart) {
                Ok(next) => {
                    assert!(is_pull && self.is_open() && next.received == 0 && next.session.bytes_expected.is_none());
                    self.file = file(1 + usize::from(who) * 2, who);
                    self.counted.clear();
                    self.held.clear();
                    if let Some(newest) = self.writers.last_mut() {
                        newest.1 = 0;
                    }
                    self.transfer = next;
                }
                Err(refused) => assert!(self.refuses(refused), "{refused}"),
            },
            6..=12 => match self.transfer.after(epoch, &learn(len)) {
                Ok(next) => {
                    assert!(is_pull && self.is_open() && next.session.bytes_expected == Some(len));
                    let other = next.after(epoch, &learn(len + 1));
                    assert_eq!(other, Err(NotNext::Known), "a length is learnt once");
                    self.transfer = next;
                }
                Err(refused) => assert!(self.refuses(refused), "{refused}"),
            },
            _ => {
                let seal = self.transfer.after(epoch, &Step::Seal { sha256: None });
                assert!(seal.is_err(), "nothing here went past the API");
            }
        }
    }

    /// Whether it is for one of the two reasons that this story has for it.
    fn refuses(&self, refused: NotNext) -> bool {
        match refused {
            NotNext::Ended => !self.is_open(),
            NotNext::Known => self.transfer.pull.is_none(),
            NotNext::TakenOver | NotNext::Gap | NotNext::Long => false,
        }
    }

    fn ends(&mut self, state: UploadState) {
        if self.is_open() {
            self.transfer.session.state = state;
        }
    }

    /// What is received is the beginning of the file, and whole when all of it is.
    fn holds(&self) {
        let Transfer { session, received, .. } = &self.transfer;
        assert_eq!(self.held.len() as u64, *received, "what counts is there");
        let is_all = session.bytes_expected.is_some() && self.held.len() == self.file.len();
        assert_eq!(self.transfer.is_whole(), is_all);
    }

    /// Put together from what is stored, as at the end of an upload, the counted parts are the file.
    fn composed(&self) {
        let mut at = 0;
        let mut whole = Vec::new();
        for part in &self.counted {
            assert!(part.start == at && part.bytes <= PART_BYTES_MAX, "without a gap");
            at += part.bytes;
            whole.extend_from_slice(&self.objects[&part.key(self.transfer.session.id)]);
        }
        assert_eq!(whole, self.held);
        assert_eq!(whole, self.file[..whole.len()]);
    }
}

/// A file, none of whose bytes is like its neighbour; each version is another one.
fn file(bytes: usize, version: u8) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from(n % 251).unwrap_or(0).wrapping_add(version)).collect()
}
