//! The network: late, lossy, repeating, and sometimes cut, in one direction or both.

use std::collections::BTreeSet;
use std::time::Duration;

use rend_core::prng::Prng;

/// Somebody with an address.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Node {
    Control,
    Origin,
    Edge(usize),
    Worker(usize),
}

/// What the network does to packets.
#[derive(Debug)]
pub(crate) struct Net {
    loss_percent: u64,
    repeat_percent: u64,
    pub(crate) delay_ms_max: u64,
    cut: BTreeSet<(Node, Node)>,
}

impl Net {
    /// A network without cuts.
    pub(crate) const fn new(loss_percent: u64, repeat_percent: u64, delay_ms_max: u64) -> Self {
        Self { loss_percent, repeat_percent, delay_ms_max, cut: BTreeSet::new() }
    }

    /// How long each copy of a packet takes; empty when it is lost.
    pub(crate) fn delays(&self, prng: &mut Prng, from: Node, to: Node) -> Vec<Duration> {
        let mut delays = Vec::new();
        let copies = if prng.below(100) < self.repeat_percent { 2 } else { 1 };
        for _ in 0..copies {
            let delay = Duration::from_millis(1 + prng.below(self.delay_ms_max.max(1)));
            let lost = prng.below(100) < self.loss_percent;
            if !lost && !self.cut.contains(&(from, to)) {
                delays.push(delay);
            }
        }
        delays
    }

    /// Cuts the way from one to the other, or restores it when it is cut.
    pub(crate) fn toggle(&mut self, from: Node, to: Node) -> bool {
        let cut = self.cut.insert((from, to));
        if !cut {
            self.cut.remove(&(from, to));
        }
        cut
    }

    /// Ends every fault.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        (self.loss_percent, self.repeat_percent, self.delay_ms_max) = (0, 0, 20);
    }
}
