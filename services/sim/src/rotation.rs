//! Keys that are rotated, and one that leaks, on edges whose clocks are off and whose links lose what they carry.
//!
//! A story of its own, in seconds: an operator rolls keys out by the runbook, and each edge takes a step up to
//! [`LAG_SECS`] late. Viewers play through it, changing edges at every request, and get the next token of their chain from
//! whichever edge they pass. Then the key that signs leaks. It is replaced and revoked; the order is pushed to the edges,
//! which may not hear it, and is read by each with its next heartbeat. Edges crash, and come back with what they wrote.
//!
//! What must hold: no honest viewer is refused, and no token of the revoked key, whenever it was made, opens anything at an
//! edge that has spoken with the control plane since the order, or later than [`DELAY_SECS`] after it.

use rend_core::fleet::{RevocationRow, RevocationSet, Revoked};
use rend_core::prng::Prng;
use rend_core::time::Timestamp;
use rend_storage::memory::Memory;
use rend_storage::revocations::{NewRevocation, RevocationLog};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyLabel, KeyRing, KeySpec, Policy, Renew, Request, Secret,
    SecretPolicy, Signer, UnixSecs, Verified, Verifier,
};

use crate::world::once;

/// An edge takes a step of a rotation at most so late.
pub const LAG_SECS: u64 = 30;
/// How far each clock is off at most. Any two of them then differ by no more than what a verifier forgives.
pub const SKEW_SECS: u64 = 15;
/// Pause between two heartbeats of an edge.
pub const BEAT_SECS: u64 = 15;
/// An order is in force on every edge that is up after so long: a heartbeat, and one more for an answer that was lost.
pub const DELAY_SECS: u64 = 2 * BEAT_SECS;

/// How a run went.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rotation {
    /// What was broken; empty when all held.
    pub violations: Vec<String>,
    /// Requests of honest viewers.
    pub honest: u64,
    /// Tokens that edges made in place of older ones.
    pub renewed: u64,
    /// Requests with a token of the leaked key that were let in before an edge could know.
    pub stolen: u64,
    /// Requests with one that were refused.
    pub refused: u64,
}

/// Runs the story of `seed`.
pub fn run(seed: u64) -> Rotation {
    let mut story = Story::new(seed);
    for now in 0..END {
        story.second(now);
        if !story.told.violations.is_empty() {
            break;
        }
    }
    story.told
}

/// A step of the runbook: from when on, which key signs, and which others verify.
#[derive(Clone, Copy)]
struct Step {
    at: u64,
    signs: usize,
    verifies: Option<usize>,
}

/// Two rotations by the runbook; then the key that signs leaks, and its successor is put in force by the same steps.
const STEPS: [Step; 9] = [
    Step { at: 0, signs: 0, verifies: None },
    Step { at: 100, signs: 0, verifies: Some(1) },
    Step { at: 100 + LAG_SECS, signs: 1, verifies: Some(0) },
    Step { at: 100 + 2 * LAG_SECS + LIFE_SECS, signs: 1, verifies: None },
    Step { at: 600, signs: 1, verifies: Some(2) },
    Step { at: 600 + LAG_SECS, signs: 2, verifies: Some(1) },
    Step { at: 600 + 2 * LAG_SECS + LIFE_SECS, signs: 2, verifies: None },
    Step { at: LEAK, signs: 2, verifies: Some(3) },
    Step { at: LEAK + LAG_SECS, signs: 3, verifies: Some(2) },
];
/// The key that leaks.
const LEAKED: usize = 2;
const LEAK: u64 = 1100;
/// When it is revoked: once every edge takes its successor's tokens.
const ORDER: u64 = LEAK + 2 * LAG_SECS;
const END: u64 = ORDER + 300;
/// A token lives so long, and for clocks that are off a little longer.
const TTL_SECS: u32 = 240;
const LIFE_SECS: u64 = TTL_SECS as u64 + 2 * SKEW_SECS;
const HORIZON_SECS: u32 = 14_400;
const WALL_SECS: u64 = 1_800_000_000;

struct Edge {
    skew: i64,
    lags: [u64; STEPS.len()],
    set: RevocationSet,
    /// What a crash leaves.
    disk: RevocationSet,
    next_beat: u64,
    /// Whether its last word was lost. Two in a row are not.
    lost: bool,
    /// It is down until then.
    down_until: u64,
    /// Whether it has spoken with the control plane since the order.
    spoke: bool,
}

struct Story {
    prng: Prng,
    edges: Vec<Edge>,
    issuer_skew: i64,
    viewers: Vec<Vec<u8>>,
    log: Memory,
    ordered: bool,
    told: Rotation,
    /// The ring of each step, without and with the leaked key revoked. Deriving keys is what costs time here.
    rings: Vec<[KeyRing<2>; 2]>,
    /// Each key alone, as a thief has it.
    alone: Vec<KeyRing<2>>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut prng = Prng::seeded(seed ^ 0x0707_a7e5);
        let skew = |prng: &mut Prng| {
            let off = prng.below(2 * SKEW_SECS + 1);
            i64::try_from(off).unwrap_or(0) - i64::try_from(SKEW_SECS).unwrap_or(0)
        };
        let edges = (0..2 + prng.below(5))
            .map(|_| Edge {
                skew: skew(&mut prng),
                lags: std::array::from_fn(|_| prng.below(LAG_SECS)),
                set: RevocationSet::new(),
                disk: RevocationSet::new(),
                next_beat: prng.below(BEAT_SECS),
                lost: false,
                down_until: 0,
                spoke: false,
            })
            .collect();
        let issuer_skew = skew(&mut prng);
        Self {
            prng,
            edges,
            issuer_skew,
            viewers: Vec::new(),
            log: Memory::default(),
            ordered: false,
            told: Rotation::default(),
            rings: STEPS.iter().map(|step| [ring(*step, false), ring(*step, true)]).collect(),
            alone: (0..LABELS.len()).map(|key| ring(Step { at: 0, signs: key, verifies: None }, false)).collect(),
        }
    }

    fn second(&mut self, now: u64) {
        if now >= ORDER && !self.ordered {
            self.order(now);
        }
        for at in 0..self.edges.len() {
            self.live(at, now);
        }
        // Somebody begins to watch now and then; some twelve do at any time.
        if self.viewers.len() < 12 && self.prng.below(5) == 0 {
            let token = self.issue(now);
            self.viewers.push(token);
        }
        // Everybody asks for a segment every four seconds.
        for viewer in 0..self.viewers.len() {
            if (now + viewer as u64).is_multiple_of(4) {
                self.watch(viewer, now);
            }
        }
        if now >= LEAK && self.prng.below(2) == 0 {
            self.steal(now);
        }
    }

    /// The operator revokes the leaked key. Edges are told at once, as far as they hear it.
    fn order(&mut self, now: u64) {
        self.ordered = true;
        let Ok(what) = Revoked::parse("key", LABELS[LEAKED]) else { unreachable!("the label names a key") };
        let order = NewRevocation { what, issued_before: None, at: stamp(now, self.issuer_skew), expires_at: None };
        let Ok(seq) = once(self.log.append_revocation(&order)) else { unreachable!("memory does not fail") };
        let row = order.at_place(seq);
        for at in 0..self.edges.len() {
            if self.edges[at].down_until <= now && self.prng.below(2) == 0 {
                self.learn(at, std::slice::from_ref(&row), None);
            }
        }
    }

    /// An edge's own second: it may crash, come back, and speak with the control plane.
    fn live(&mut self, at: usize, now: u64) {
        if self.edges[at].down_until <= now && self.prng.below(400) == 0 {
            let down = self.prng.below(40);
            let edge = &mut self.edges[at];
            edge.down_until = now + down;
            edge.set = edge.disk.clone();
            // Whoever comes back speaks with the control plane before it serves.
            edge.next_beat = edge.down_until;
        }
        let dice = self.prng.below(3);
        let edge = &mut self.edges[at];
        if now < edge.down_until || now < edge.next_beat {
            return;
        }
        edge.lost = dice == 0 && !edge.lost && edge.down_until != now;
        edge.next_beat = now + if edge.lost { 5 } else { BEAT_SECS };
        if edge.lost {
            return;
        }
        let seen = self.edges[at].set.seen();
        let head = once(self.log.revocation_head()).unwrap_or(0);
        let rows = once(self.log.revocations_after(seen, stamp(now, self.issuer_skew), 10)).unwrap_or_default();
        self.learn(at, &rows, Some(head));
        self.edges[at].spoke |= self.ordered;
    }

    fn learn(&mut self, at: usize, rows: &[RevocationRow], upto: Option<u64>) {
        let edge = &mut self.edges[at];
        for row in rows {
            if edge.set.apply(row).is_err() {
                self.told.violations.push(format!("edge {at} has no room for one order"));
            }
        }
        upto.into_iter().for_each(|upto| edge.set.saw(upto));
        // It answers when it has written it down.
        edge.disk = edge.set.clone();
        edge.spoke |= !rows.is_empty();
    }

    /// An honest viewer's request.
    fn watch(&mut self, viewer: usize, now: u64) {
        let Some(at) = self.some_edge(now) else { return };
        self.told.honest += 1;
        let token = self.viewers[viewer].clone();
        match self.verify(at, &token, now) {
            Some(verified) => {
                if let Renew::Now(_) = verified.renew() {
                    let ring = self.ring_of(at, now);
                    if let Ok(next) = Signer::new(ring).renew(&verified, wall(now, self.edges[at].skew)) {
                        self.told.renewed += 1;
                        self.viewers[viewer] = next.as_bytes().to_vec();
                    }
                }
            }
            // Who still holds a token of the leaked key starts again at the issuer: that is the price.
            None if self.ordered && made_with(&token, &self.alone[LEAKED]) => self.viewers[viewer] = self.issue(now),
            None => {
                let key = self.alone.iter().position(|key| made_with(&token, key));
                self.told.violations.push(format!("edge {at} refused an honest viewer at {now}, with key {key:?}"));
            }
        }
    }

    /// Somebody who has the leaked key makes a token of his own, dated as he likes.
    fn steal(&mut self, now: u64) {
        let Some(at) = self.some_edge(now) else { return };
        let back = u32::try_from(self.prng.below(u64::from(TTL_SECS) / 2)).unwrap_or(0);
        let issued_at = wall(now, self.edges[at].skew).saturating_sub(back);
        let Some(token) = signed(&self.alone[LEAKED], issued_at) else { return };
        let admitted = self.verify(at, &token, now).is_some();
        let known = self.edges[at].spoke || now > ORDER + DELAY_SECS;
        match (admitted, self.ordered && known) {
            (true, true) => self.told.violations.push(format!("edge {at} let a leaked key in at {now}")),
            (true, false) => self.told.stolen += 1,
            (false, _) => self.told.refused += 1,
        }
    }

    fn some_edge(&mut self, now: u64) -> Option<usize> {
        let up: Vec<_> = (0..self.edges.len()).filter(|at| self.edges[*at].down_until <= now).collect();
        let at = usize::try_from(self.prng.below(up.len().max(1) as u64)).unwrap_or(0);
        up.get(at).copied()
    }

    fn verify(&self, at: usize, token: &[u8], now: u64) -> Option<Verified> {
        let ring = self.ring_of(at, now);
        let asset = AssetRef::uuid([7; 16]);
        let artifact = Artifact::new(ArtifactClass::Segment, "hls/720p/segment_00001.m4s");
        let request = Request::new(&asset, artifact, wall(now, self.edges[at].skew));
        Verifier::playback(ring).verify(token, &request).ok()
    }

    /// The keys that an edge has by now, less what it knows to be revoked.
    fn ring_of(&self, at: usize, now: u64) -> &KeyRing<2> {
        let edge = &self.edges[at];
        let step = (0..STEPS.len()).rev().find(|step| STEPS[*step].at + edge.lags[*step] <= now).unwrap_or(0);
        let leaked = |row: &RevocationRow| row.what.kind() == "key" && row.what.subject() == LABELS[LEAKED];
        &self.rings[step][usize::from(edge.set.rows().any(leaked))]
    }

    fn issue(&self, now: u64) -> Vec<u8> {
        // The issuer takes a step when every edge has taken the one before.
        let step = STEPS.iter().rposition(|step| step.at <= now).unwrap_or(0);
        signed(&self.rings[step][0], wall(now, self.issuer_skew)).unwrap_or_default()
    }
}

fn signed(ring: &KeyRing<2>, issued_at: UnixSecs) -> Option<Vec<u8>> {
    let grant = Grant::playback(&AssetRef::uuid([7; 16]), ClassMask::HLS, TTL_SECS);
    let claims = grant.renewable(TTL_SECS, HORIZON_SECS).build(issued_at).ok()?;
    Some(Signer::new(ring).sign(&claims).ok()?.as_bytes().to_vec())
}

fn ring(step: Step, without_leaked: bool) -> KeyRing<2> {
    let spec = |key: usize, signs: bool| {
        let (label, secret) = (KeyLabel::new(LABELS[key]).ok()?, Secret::from_bytes(SECRETS[key]).ok()?);
        let spec = if signs { KeySpec::new(label, secret) } else { KeySpec::verify_only(label, secret) };
        Some(if without_leaked && key == LEAKED { spec.revoked() } else { spec })
    };
    let specs: Vec<_> =
        spec(step.signs, true).into_iter().chain(step.verifies.and_then(|key| spec(key, false))).collect();
    let Ok(ring) = KeyRing::build(&specs, Policy::new(), SecretPolicy::Production) else {
        unreachable!("two keys of this story are a ring")
    };
    ring
}

/// Whether `token` was made with the one key of this ring.
fn made_with(token: &[u8], key: &KeyRing<2>) -> bool {
    let asset = AssetRef::uuid([7; 16]);
    let request = Request::new(&asset, Artifact::new(ArtifactClass::Segment, ""), UnixSecs::ZERO);
    let denied = Verifier::playback(key).verify(token, &request).err();
    denied.is_some_and(|denied| denied.reason() == rend_token::Reason::NotYet)
}

fn wall(now: u64, skew: i64) -> UnixSecs {
    UnixSecs::try_from((WALL_SECS + now).saturating_add_signed(skew)).unwrap_or(UnixSecs::MAX)
}

fn stamp(now: u64, skew: i64) -> Timestamp {
    Timestamp::from_secs((WALL_SECS + now).saturating_add_signed(skew))
}

const LABELS: [&str; 4] = ["2026-01", "2026-02", "2026-03", "2026-04"];
const SECRETS: [&[u8]; 4] = [
    b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE",
    b"hT7wPq2Zs9dKfLm4XcVb8nRy6uJgAe3i5oQx1zWtHvYkEjUl",
    b"mK3vBn8Xc5Lq1Wz7RtYp9sDf2GhJk4AeUi6oNxQbVwMyTrEl",
    b"p0Ol9iKu8jMn7hBg6vFr5tCd4eXs3wZa2qYkTjHgFdSaLmNb",
];
