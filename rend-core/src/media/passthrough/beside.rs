//! What is encoded beside a source that is passed through.

use super::Passthrough;
use crate::artifact::Rendition;
use crate::media::plan::{Cut, Plan, Policy, plan};
use crate::media::probe::{Cadence, PacketScan, Source};

/// What is encoded beside a source that plays already.
#[derive(Clone, Debug)]
pub enum Beside {
    /// Nothing: there is no smaller rung. The plan is that of the ladder that is not made.
    Alone(Plan),
    /// The rungs below it, cut where it is cut, so that players change between all of them at any segment.
    Below(Plan),
    /// A whole ladder, which takes its place once it is complete: its key frames lie on no grid that other rungs could be
    /// cut by.
    Instead(Plan),
}

/// Decides what is encoded beside `passthrough`, given what the probe says of the same source.
pub fn beside(passthrough: &Passthrough, source: &Source, scan: Option<&PacketScan>, policy: &Policy) -> Beside {
    let whole = plan(source, scan, policy);
    if !whole.rungs.iter().any(|rung| rung.size.pixels() < passthrough.size.pixels()) {
        return Beside::Alone(whole);
    }
    // Pictures with sound and pictures without are not played side by side.
    let alike = passthrough.voices().is_empty() == whole.sounds.is_empty();
    if let Some(cuts) = aligned(passthrough, &whole).filter(|_| alike) {
        return Beside::Below(whole.below(passthrough.size, cuts, passthrough.target_secs, scan, policy.slots));
    }
    let is_taken = whole.rungs.iter().any(|rung| rung.rendition == Rendition::Source) || !whole.sounds.is_empty();
    if is_taken || !passthrough.voices().is_empty() {
        // Its name, or that of its sounds, is taken by what plays already.
        return Beside::Alone(whole);
    }
    Beside::Instead(whole)
}

/// The cuts of the source as frames of the plan's grid, when each falls on one.
fn aligned(passthrough: &Passthrough, plan: &Plan) -> Option<Vec<Cut>> {
    let video = plan.source.video.as_ref()?;
    if video.cadence != Cadence::Constant || video.rate != video.native || video.start_us > NEAR_US {
        return None;
    }
    let frame_at = |us: u64| {
        let frame = plan.grid.rate.frames_in(us);
        (plan.grid.micros_at(frame).abs_diff(us) <= NEAR_US).then_some(frame)
    };
    let mut firsts = Vec::with_capacity(passthrough.len() + 1);
    for start in passthrough.starts_us() {
        firsts.push(frame_at(start)?);
    }
    firsts.push(plan.grid.rate.frames_in(passthrough.duration_us));
    let cuts: Vec<Cut> = firsts.windows(2).map(|w| Cut { first: w[0], frames: w[1].saturating_sub(w[0]) }).collect();
    cuts.iter().all(|cut| cut.frames > 0).then_some(cuts)
}

/// Instants that are this close are one: a player does not tell them apart, and the check of finished rungs allows twice
/// as much.
const NEAR_US: u64 = 1000;
