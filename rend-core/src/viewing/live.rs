//! Which views are going on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{AHEAD_MAX, ViewPart};
use crate::id::AssetId;
use crate::time::Timestamp;

/// Counts the views that spoke within [`LiveViews::window`] and have not ended. Parts are added in the order of their places.
#[derive(Clone, Debug, Default)]
pub struct LiveViews {
    by_asset: BTreeMap<AssetId, u64>,
    current: Option<Current>,
}

/// The view whose parts are being added.
#[derive(Clone, Copy, Debug)]
struct Current {
    view: [u8; 16],
    asset: AssetId,
    has_ended: bool,
}

/// What is being watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Live {
    /// Views that are going on.
    pub views: u64,
    /// The assets that most of them are of and how many of each, at most as many as were asked for.
    pub top_assets: Vec<(AssetId, u64)>,
}

impl LiveViews {
    /// From when until when a view must have spoken to be live at `now`. It ends ahead of our clock, since players whose
    /// clocks are ahead are believed that far.
    pub fn window(now: Timestamp) -> (Timestamp, Timestamp) {
        (now - LIVE_FOR, now + AHEAD_MAX)
    }

    /// Adds a part.
    pub fn add(&mut self, part: &ViewPart) {
        let has_ended = part.ends > 0;
        match &mut self.current {
            Some(current) if current.view == part.view => current.has_ended |= has_ended,
            Some(_) | None => {
                self.settle();
                self.current = Some(Current { view: part.view, asset: part.asset, has_ended });
            }
        }
    }

    fn settle(&mut self) {
        if let Some(view) = self.current.take()
            && !view.has_ended
        {
            *self.by_asset.entry(view.asset).or_default() += 1;
        }
    }

    /// What it comes to, naming `top` assets.
    pub fn figures(mut self, top: usize) -> Live {
        self.settle();
        let views = self.by_asset.values().sum();
        let mut assets: Vec<_> = self.by_asset.into_iter().collect();
        // The sort is stable, so that assets watched alike stay in the order of their ids.
        assets.sort_by_key(|(_, views)| Reverse(*views));
        assets.truncate(top);
        Live { views, top_assets: assets }
    }
}

/// A view is going on while its last word is younger than this.
pub const LIVE_FOR: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::artifact::Rendition;
    use crate::viewing::Device;

    /// A part of the view `view` of the asset `asset`, played in one of two renditions.
    fn part(view: u8, asset: u8, rung: Rendition, has_ended: bool) -> ViewPart {
        ViewPart {
            view: [view; 16],
            edge: None,
            rung: Some(rung),
            asset: AssetId::from_bytes([asset; 16]),
            viewer: [view; 7],
            device: Device::Other,
            intents: 0,
            startup_ms: None,
            playing_ms: 1,
            stalled_ms: 0,
            errors: 0,
            ends: u64::from(has_ended),
            last_at: Timestamp::EPOCH,
        }
    }

    fn live(parts: &[ViewPart], top: usize) -> (u64, Vec<(u8, u64)>) {
        let mut views = LiveViews::default();
        parts.iter().for_each(|part| views.add(part));
        let live = views.figures(top);
        (live.views, live.top_assets.iter().map(|(asset, views)| (asset.as_bytes()[0], *views)).collect())
    }

    /// Adds parts of `(view, asset, ended)` and asks for two assets.
    #[track_caller]
    fn check(parts: &[(u8, u8, bool)], views: u64, assets: &[(u8, u64)]) {
        let rungs = [Rendition::P1080, Rendition::P720].into_iter().cycle();
        let parts: Vec<_> =
            parts.iter().zip(rungs).map(|((view, asset, ended), rung)| part(*view, *asset, rung, *ended)).collect();
        assert_eq!(live(&parts, 2), (views, assets.to_vec()));
    }

    #[test]
    fn views_that_have_not_ended_are_live() {
        check(&[], 0, &[]);
        check(&[(1, 1, false)], 1, &[(1, 1)]);
        check(&[(1, 1, true)], 0, &[]);
        // A view of two parts counts once, and has ended when either says so.
        check(&[(1, 1, false), (1, 1, false)], 1, &[(1, 1)]);
        check(&[(1, 1, true), (1, 1, false)], 0, &[]);
        check(&[(1, 1, false), (1, 1, true), (2, 1, false)], 1, &[(1, 1)]);
        // What is watched most stands first, what is watched alike in the order of ids; what is not named counts as well.
        check(&[(1, 3, false), (2, 2, false), (3, 2, false), (4, 1, false)], 4, &[(2, 2), (1, 1)]);
    }

    #[test]
    fn a_view_is_live_for_a_while_after_its_last_word() {
        let now = Timestamp::from_secs(1_800_000_000);
        assert_eq!(LiveViews::window(now), (Timestamp::from_secs(1_799_999_955), Timestamp::from_secs(1_800_000_060)));
    }

    proptest! {
        #[test]
        fn live_views_are_those_that_began_less_those_that_ended(
            told in proptest::collection::btree_map((0_u8..20, any::<bool>()), any::<bool>(), 0..40),
        ) {
            let asset = |view: u8| view % 3;
            let rung = |is_high| if is_high { Rendition::P1080 } else { Rendition::P720 };
            let parts: Vec<_> =
                told.iter().map(|((view, high), ended)| part(*view, asset(*view), rung(*high), *ended)).collect();
            let all: BTreeSet<u8> = told.keys().map(|(view, _)| *view).collect();
            let ended: BTreeSet<u8> = told.iter().filter(|(_, ended)| **ended).map(|((view, _), _)| *view).collect();
            let (views, assets) = live(&parts, 3);
            prop_assert_eq!(views, (all.len() - ended.len()) as u64);
            for (id, views) in assets {
                prop_assert_eq!(views, all.difference(&ended).filter(|view| asset(**view) == id).count() as u64);
            }
        }
    }
}
