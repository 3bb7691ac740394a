//! From an encoder's samples to the plan's segments. No IO.

use rend_core::media::isobmff::Sample;
use rend_core::media::plan::{Cut, Grid, Plan, Unit};

/// Collects one rung's samples of one unit and gives them back cut by cut.
#[derive(Debug)]
pub(crate) struct Assembly {
    grid: Grid,
    first: u64,
    cuts: Vec<(u32, Cut)>,
    /// Cuts from here on wait for the end, since the end may move them.
    firm: usize,
    sparse: bool,
    open: bool,
    origin: Option<i64>,
    pending: Vec<(u64, Sample)>,
    next: usize,
    seen_end: u64,
}

impl Assembly {
    /// For an output of `unit` whose first own segment is `from`.
    pub(crate) fn new(plan: &Plan, unit: &Unit, from: u32) -> Self {
        let first = unit.first + unit.skipped(plan, from);
        let cuts: Vec<(u32, Cut)> = (from.max(unit.segments.start)..unit.segments.end)
            .filter_map(|index| plan.cuts.get(usize::try_from(index).ok()?).map(|cut| (index, *cut)))
            .collect();
        let firm = if unit.open { cuts.len().saturating_sub(2) } else { cuts.len() };
        Self {
            grid: plan.grid,
            first,
            firm,
            cuts,
            sparse: unit.sparse,
            open: unit.open,
            origin: None,
            pending: Vec::new(),
            next: 0,
            seen_end: first,
        }
    }

    /// Takes in the next sample in decoding order, and gives back a segment that it completes.
    pub(crate) fn push(&mut self, sample: Sample) -> Option<Segment> {
        let shown = i64::try_from(sample.decoded_at).unwrap_or(i64::MAX).saturating_add(sample.shown_after.into());
        let origin = *self.origin.get_or_insert(shown);
        let ticks = i64::from(self.grid.ticks);
        let frame = self.first + u64::try_from((shown - origin + ticks / 2) / ticks).unwrap_or(0);
        let mut done = None;
        if sample.key
            && !self.sparse
            && self.next < self.firm
            && let Some((index, cut)) = self.cuts.get(self.next).copied()
            && frame >= cut.end()
        {
            self.next += 1;
            done = Some(timed(index, cut, std::mem::take(&mut self.pending), &self.grid));
        }
        self.seen_end = self.seen_end.max(frame + 1);
        self.pending.push((frame, sample));
        done
    }

    /// How many frames of the whole source there are up to the end of what came.
    pub(crate) const fn end(&self) -> u64 {
        self.seen_end
    }

    /// What is left, once the encoder has ended.
    pub(crate) fn finish(mut self, plan: &Plan) -> Vec<Segment> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        if !self.open {
            let Some((index, cut)) = self.cuts.get(self.next).copied() else { return Vec::new() };
            return vec![timed(index, cut, self.pending, &self.grid)];
        }
        let start = self.cuts.first().map_or(0, |(index, _)| usize::try_from(*index).unwrap_or(0));
        let settled = plan.settled(self.seen_end, start + self.next);
        if let [.., last] = settled.as_slice()
            && start + self.next > 0
            && settled.len() == start + self.next + 1
            && last.frames * 2 < u64::from(plan.grid.gop)
        {
            // The source ended far too soon, and what it left of this stretch is shorter than players put up with: the
            // segment before it is published and can not take it in.
            return Vec::new();
        }
        let mut out = Vec::new();
        for (index, cut) in settled.iter().enumerate().skip(start + self.next) {
            let ends = self.pending.iter().position(|(frame, sample)| sample.key && *frame >= cut.end());
            let rest = self.pending.split_off(ends.unwrap_or(self.pending.len()));
            let samples = std::mem::replace(&mut self.pending, rest);
            if !samples.is_empty() {
                out.push(timed(u32::try_from(index).unwrap_or(u32::MAX), *cut, samples, &self.grid));
            }
        }
        out
    }
}

/// One segment's pictures, timed as the plan says.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) index: u32,
    pub(crate) cut: Cut,
    pub(crate) samples: Vec<Sample>,
}

/// Samples lasting from each to the next shown, and the last to the end of the cut.
///
/// Decoding instants are the instants at which pictures are shown, in order: each picture is decoded when the one of the
/// same rank is shown, and what is shown later says by how much. No time stamp of the encoder is left.
fn timed(index: u32, cut: Cut, samples: Vec<(u64, Sample)>, grid: &Grid) -> Segment {
    let mut shown: Vec<u64> = samples.iter().map(|(frame, _)| *frame).collect();
    shown.sort_unstable();
    // A segment begins where it was cut, whatever its first frame says.
    if let Some(first) = shown.first_mut() {
        *first = cut.first.min(*first);
    }
    let ends = shown.iter().skip(1).copied().chain([cut.end()]);
    let ticks = u64::from(grid.ticks);
    let timed = samples.into_iter().zip(shown.iter().copied().zip(ends)).map(|((frame, sample), (decoded, end))| {
        let delay = (i64::try_from(frame).unwrap_or(0) - i64::try_from(decoded).unwrap_or(0)) * i64::from(grid.ticks);
        Sample {
            decoded_at: decoded * ticks,
            shown_after: i32::try_from(delay).unwrap_or(0),
            duration: u32::try_from(end.saturating_sub(decoded) * ticks).unwrap_or(u32::MAX),
            ..sample
        }
    });
    Segment { index, cut, samples: timed.collect() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rend_core::media::probe::Rate;

    use super::*;

    #[test]
    fn times_come_from_the_grid_and_not_from_the_encoder() {
        let grid = Grid { rate: Rate::new(30, 1).unwrap(), timescale: 15_360, ticks: 512, gop: 60 };
        let sample = |key| Sample { track: 1, decoded_at: 99, shown_after: 7, duration: 3, key, data: Bytes::new() };
        // Decoded in the order key, fourth, second, third; the fifth frame was left out because it repeats the fourth.
        let samples = vec![(60, sample(true)), (63, sample(false)), (61, sample(false)), (62, sample(false))];
        let segment = timed(1, Cut { first: 60, frames: 5 }, samples, &grid);
        let told: Vec<_> =
            segment.samples.iter().map(|s| (s.decoded_at / 512, s.shown_after / 512, s.duration / 512)).collect();
        assert_eq!(told, [(60, 0, 1), (61, 2, 1), (62, -1, 1), (63, -1, 2)]);
    }
}
