//! What players saw: one record a moment of a view, and what many of them come to.
//!
//! [`View::believe`] says what is believed of a player, [`Viewing`] what views come to, [`LiveViews`] which are going on.
//!
//! Nothing here bills. Players are in viewers' hands and may say what they like; what was delivered is told by edges alone,
//! and counted in [`crate::metering`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::analytics::share;
use crate::artifact::Rendition;
use crate::asset::{UnknownWord, named};
use crate::id::{AssetId, EdgeId, OrgId};
use crate::time::Timestamp;

mod claim;
mod live;

pub use claim::{AHEAD_MAX, Claim, Disbelief, SPAN_MS_MAX, STARTUP_MS_MAX, VIEW_FOR, View};
pub use live::{LIVE_FOR, Live, LiveViews};

/// One moment of a view, as its player told it. It cannot hold an address, a token or a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlayerEvent {
    /// Which view: drawn when the player was let in.
    pub view: [u8; 16],
    /// Its place among that view's events.
    pub seq: u32,
    /// When it happened: the view's beginning by our clock and how long after that by the player's. Part of the record.
    pub at: Timestamp,
    /// Who owns the asset.
    pub org: OrgId,
    /// The asset.
    pub asset: AssetId,
    /// Whose view it is, as far as can be told without knowing anybody: the session that the player was let in with.
    pub viewer: [u8; 7],
    /// What happened.
    pub phase: Phase,
    /// From the wish to play to the first moving frame, told with [`Phase::FirstFrame`].
    pub startup_ms: Option<u32>,
    /// How long the picture moved since the event before.
    pub playing_ms: u32,
    /// How long it stood still for want of data since the event before, seeking and starting left out.
    pub stalled_ms: u32,
    /// What was played meanwhile.
    pub rung: Option<Rendition>,
    /// Where it was fetched from.
    pub edge: Option<EdgeId>,
    /// What kind of device it is.
    pub device: Device,
}

named! {
    /// What happened.
    Phase {
        /// The player knows what to play.
        Load = "load",
        /// The viewer, or the page for them, wants it to play.
        PlayIntent = "play_intent",
        /// The picture moves.
        FirstFrame = "first_frame",
        /// It goes on.
        Heartbeat = "heartbeat",
        /// It stood still for want of data.
        Stall = "stall",
        /// Another rendition is played from here on.
        RungChange = "rung_change",
        /// It can not go on.
        Error = "error",
        /// The viewer left, or the video is over.
        End = "end",
    }
}

named! {
    /// What kind of device a player runs on, as far as it says so itself.
    Device {
        /// A phone.
        Phone = "phone",
        /// A tablet.
        Tablet = "tablet",
        /// A television or a box beside one.
        Tv = "tv",
        /// A computer.
        Desktop = "desktop",
        /// Something else, or nothing was said.
        Other = "other",
    }
}

impl Device {
    /// The device that calls itself `agent`, which is forgotten right after.
    pub fn of_agent(agent: &str) -> Self {
        let agent = agent.to_ascii_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| agent.contains(word));
        if any(&["tv", "crkey", "aftt", "roku", "bravia", "webos", "tizen"]) {
            Self::Tv
        } else if any(&["ipad", "tablet"]) || (agent.contains("android") && !agent.contains("mobile")) {
            Self::Tablet
        } else if any(&["iphone", "ipod", "mobile", "phone"]) {
            Self::Phone
        } else if any(&["windows", "macintosh", "x11", "linux", "cros"]) {
            Self::Desktop
        } else {
            Self::Other
        }
    }
}

/// What one view did with one rendition at one edge, as a store adds it up. The parts of a view share its asset, its viewer
/// and its device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ViewPart {
    /// Which view.
    pub view: [u8; 16],
    /// Where it was fetched from.
    pub edge: Option<EdgeId>,
    /// What was played.
    pub rung: Option<Rendition>,
    /// The asset.
    pub asset: AssetId,
    /// Whose view it is.
    pub viewer: [u8; 7],
    /// The kind of device.
    pub device: Device,
    /// How often it was to play.
    pub intents: u64,
    /// The shortest start that was told.
    pub startup_ms: Option<u32>,
    /// How long the picture moved.
    pub playing_ms: u64,
    /// How long it stood still.
    pub stalled_ms: u64,
    /// How often it could not go on.
    pub errors: u64,
    /// How often it ended.
    pub ends: u64,
    /// Its last word.
    pub last_at: Timestamp,
}

/// Where a page of parts ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartKey {
    /// Which view.
    pub view: [u8; 16],
    /// Its edge, in text; empty for none.
    pub edge: String,
    /// Its rendition, in text; empty for none.
    pub rung: String,
}

impl ViewPart {
    /// The place of this part: parts sort by it.
    pub fn key(&self) -> PartKey {
        let text = |edge: &EdgeId| edge.to_string();
        let rung = self.rung.map_or_else(String::new, |rung| rung.to_string());
        PartKey { view: self.view, edge: self.edge.as_ref().map_or_else(String::new, text), rung }
    }

    fn first(event: &PlayerEvent) -> Self {
        Self {
            view: event.view,
            edge: event.edge.clone(),
            rung: event.rung,
            asset: event.asset,
            viewer: event.viewer,
            device: event.device,
            intents: 0,
            startup_ms: None,
            playing_ms: 0,
            stalled_ms: 0,
            errors: 0,
            ends: 0,
            last_at: event.at,
        }
    }

    fn add(&mut self, event: &PlayerEvent) {
        let one = |phase| u64::from(event.phase == phase);
        self.intents += one(Phase::PlayIntent);
        self.errors += one(Phase::Error);
        self.ends += one(Phase::End);
        self.startup_ms = match (self.startup_ms, event.startup_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.playing_ms += u64::from(event.playing_ms);
        self.stalled_ms += u64::from(event.stalled_ms);
        self.last_at = self.last_at.max(event.at);
    }
}

/// The parts that `events` come to, in the order of their places: what every store answers.
pub fn parts<'e>(events: impl IntoIterator<Item = &'e PlayerEvent>) -> Vec<ViewPart> {
    let mut parts = BTreeMap::<([u8; 16], String, String), ViewPart>::new();
    for event in events {
        let first = ViewPart::first(event);
        let PartKey { view, edge, rung } = first.key();
        parts.entry((view, edge, rung)).or_insert(first).add(event);
    }
    parts.into_values().collect()
}

/// What views come to. Parts are added in the order of their places.
#[derive(Clone, Debug, Default)]
pub struct Viewing {
    regions: BTreeMap<EdgeId, String>,
    views: u64,
    viewers: BTreeSet<[u8; 7]>,
    intended: u64,
    startups: Vec<u32>,
    left_before_start: u64,
    failed_before_start: u64,
    failed: u64,
    playing_ms: u64,
    stalled_ms: u64,
    by_device: BTreeMap<Device, Slice>,
    by_edge: BTreeMap<String, Slice>,
    by_region: BTreeMap<String, Slice>,
    by_rung: BTreeMap<String, u64>,
    by_asset: BTreeMap<AssetId, Slice>,
    current: Option<Current>,
}

/// Views and watch time of one part of a whole.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Slice {
    /// Views.
    pub views: u64,
    /// How long pictures moved in them.
    pub watch_ms: u64,
}

/// The view whose parts are being added.
#[derive(Clone, Debug)]
struct Current {
    view: [u8; 16],
    asset: AssetId,
    device: Device,
    edges: BTreeMap<String, u64>,
    regions: BTreeMap<String, u64>,
    intents: u64,
    startup_ms: Option<u32>,
    errors: u64,
    playing_ms: u64,
}

/// The figures of an overview.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Views: players that knew what to play.
    pub views: u64,
    /// Distinct viewers, as far as can be told.
    pub viewers: u64,
    /// How long pictures moved, in milliseconds.
    pub watch_ms: u64,
    /// From the wish to play to a moving picture: the time that half of the starts did not exceed.
    pub startup_p50_ms: Option<u32>,
    /// The time that 95 of 100 starts did not exceed.
    pub startup_p95_ms: Option<u32>,
    /// Which share of the wishes to play led to a moving picture.
    pub startup_success: Option<f64>,
    /// Which share of the time it stood still for want of data.
    pub rebuffer_ratio: Option<f64>,
    /// Views that were to play and ended without a picture and without an error.
    pub exits_before_start: u64,
    /// Views that failed before a picture moved.
    pub failures_before_start: u64,
    /// Views that failed after that.
    pub failures: u64,
    /// By kind of device.
    pub by_device: BTreeMap<Device, Slice>,
    /// By edge; a view that moved counts at each.
    pub by_edge: BTreeMap<String, Slice>,
    /// By region; a view that moved to an edge of another counts in each.
    pub by_region: BTreeMap<String, Slice>,
    /// Watch time by rendition, in milliseconds.
    pub by_rung: BTreeMap<String, u64>,
    /// The assets that were watched longest, at most as many as were asked for.
    pub top_assets: Vec<(AssetId, Slice)>,
}

impl Viewing {
    /// Nothing yet, of edges that stand in these `regions`. One that is not named stands in [`NO_REGION`].
    pub fn of_fleet(regions: BTreeMap<EdgeId, String>) -> Self {
        Self { regions, ..Self::default() }
    }

    /// Adds a part.
    pub fn add(&mut self, part: &ViewPart) {
        if self.current.as_ref().is_none_or(|current| current.view != part.view) {
            self.settle();
            self.current = Some(Current {
                view: part.view,
                asset: part.asset,
                device: part.device,
                edges: BTreeMap::new(),
                regions: BTreeMap::new(),
                intents: 0,
                startup_ms: None,
                errors: 0,
                playing_ms: 0,
            });
            self.viewers.insert(part.viewer);
        }
        let Some(current) = &mut self.current else { return };
        current.intents += part.intents;
        current.errors += part.errors;
        current.playing_ms += part.playing_ms;
        current.startup_ms = current.startup_ms.into_iter().chain(part.startup_ms).min();
        if let Some(edge) = &part.edge {
            *current.edges.entry(edge.to_string()).or_default() += part.playing_ms;
            let region = self.regions.get(edge).map_or(NO_REGION, String::as_str);
            *current.regions.entry(region.to_owned()).or_default() += part.playing_ms;
        }
        self.stalled_ms += part.stalled_ms;
        if let Some(rung) = part.rung {
            *self.by_rung.entry(rung.to_string()).or_default() += part.playing_ms;
        }
    }

    fn settle(&mut self) {
        let Some(view) = self.current.take() else { return };
        self.views += 1;
        self.playing_ms += view.playing_ms;
        let has_started = view.startup_ms.is_some() || view.playing_ms > 0;
        self.intended += u64::from(view.intents > 0 || has_started);
        self.startups.extend(view.startup_ms);
        match (has_started, view.errors > 0) {
            (true, true) => self.failed += 1,
            (false, true) => self.failed_before_start += 1,
            (false, false) if view.intents > 0 => self.left_before_start += 1,
            (true, false) | (false, false) => {}
        }
        let slice = |slice: &mut Slice, watch_ms| {
            slice.views += 1;
            slice.watch_ms += watch_ms;
        };
        slice(self.by_device.entry(view.device).or_default(), view.playing_ms);
        slice(self.by_asset.entry(view.asset).or_default(), view.playing_ms);
        for (edge, playing_ms) in view.edges {
            slice(self.by_edge.entry(edge).or_default(), playing_ms);
        }
        for (region, playing_ms) in view.regions {
            slice(self.by_region.entry(region).or_default(), playing_ms);
        }
    }

    /// What it comes to, naming `top` assets.
    pub fn figures(mut self, top: usize) -> Figures {
        self.settle();
        self.startups.sort_unstable();
        let mut assets: Vec<_> = self.by_asset.into_iter().collect();
        // The sort is stable, so that assets watched alike stay in the order of their ids.
        assets.sort_by_key(|(_, slice)| std::cmp::Reverse(slice.watch_ms));
        assets.truncate(top);
        let not_started = self.left_before_start + self.failed_before_start;
        Figures {
            views: self.views,
            viewers: self.viewers.len() as u64,
            watch_ms: self.playing_ms,
            startup_p50_ms: percentile(&self.startups, 50),
            startup_p95_ms: percentile(&self.startups, 95),
            startup_success: share(self.intended.saturating_sub(not_started), self.intended),
            rebuffer_ratio: share(self.stalled_ms, self.stalled_ms + self.playing_ms),
            exits_before_start: self.left_before_start,
            failures_before_start: self.failed_before_start,
            failures: self.failed,
            by_device: self.by_device,
            by_edge: self.by_edge,
            by_region: self.by_region,
            by_rung: self.by_rung,
            top_assets: assets,
        }
    }
}

/// What stands for the region of an edge that is not known, or not any more.
pub const NO_REGION: &str = "unknown";

/// The least of `sorted` that `percent` of 100 do not exceed.
fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(view: u8, seq: u32, phase: Phase) -> PlayerEvent {
        PlayerEvent {
            view: [view; 16],
            seq,
            at: Timestamp::from_secs(1_800_000_000 + u64::from(seq)),
            org: OrgId::from_bytes([1; 16]),
            asset: AssetId::from_bytes([view % 2; 16]),
            viewer: [view / 2; 7],
            phase,
            startup_ms: (phase == Phase::FirstFrame).then_some(100 * u32::from(view)),
            playing_ms: if phase == Phase::Heartbeat { 10_000 } else { 0 },
            stalled_ms: if phase == Phase::Stall { 2500 } else { 0 },
            rung: (phase == Phase::Heartbeat).then_some(Rendition::P720),
            edge: Some("ash-1".parse().unwrap()),
            device: Device::Phone,
        }
    }

    fn figures(events: &[PlayerEvent]) -> Figures {
        let mut viewing = Viewing::default();
        parts(events).iter().for_each(|part| viewing.add(part));
        viewing.figures(10)
    }

    #[test]
    fn views_come_to_figures() {
        use Phase::{End, Error, FirstFrame, Heartbeat, Load, PlayIntent, Stall};
        let views: [(u8, &[Phase]); 6] = [
            (1, &[Load, PlayIntent, FirstFrame, Heartbeat, Stall, Heartbeat, End]),
            (2, &[Load, PlayIntent, FirstFrame, Heartbeat, Error]),
            (3, &[Load, PlayIntent, End]),
            (4, &[Load, PlayIntent, Error]),
            (5, &[Load]),
            // The beginning of this one lies before the window.
            (6, &[Heartbeat, Heartbeat]),
        ];
        let events: Vec<_> = views
            .iter()
            .flat_map(|(view, phases)| phases.iter().zip(1..).map(|(phase, seq)| event(*view, seq, *phase)))
            .collect();
        let found = figures(&events);
        assert_eq!((found.views, found.viewers, found.watch_ms), (6, 4, 50_000));
        assert_eq!((found.startup_p50_ms, found.startup_p95_ms), (Some(100), Some(200)));
        assert_eq!(found.startup_success, Some(0.6));
        assert_eq!(found.rebuffer_ratio, Some(2500.0 / 52_500.0));
        assert_eq!((found.exits_before_start, found.failures_before_start, found.failures), (1, 1, 1));
        assert_eq!(found.by_rung, [("720p".to_owned(), 50_000)].into());
        assert_eq!(found.by_edge["ash-1"], Slice { views: 6, watch_ms: 50_000 });
        assert_eq!(found.by_device[&Device::Phone].views, 6);
        let watched: Vec<_> = found.top_assets.iter().map(|(_, slice)| slice.watch_ms).collect();
        assert_eq!(watched, [30_000, 20_000]);
    }

    #[test]
    fn a_view_that_moves_within_a_region_counts_there_once() {
        let edges = ["ash-1", "ash-2", "fra-1", "gone-1"].map(|id| id.parse::<EdgeId>().unwrap());
        let region = |n: usize| edges[n].as_str()[..3].to_owned();
        let mut viewing = Viewing::of_fleet((0..3).map(|n| (edges[n].clone(), region(n))).collect());
        let moment = |view, seq, edge: Option<usize>| PlayerEvent {
            edge: edge.map(|n| edges[n].clone()),
            ..event(view, seq, Phase::Heartbeat)
        };
        let events = [
            moment(1, 1, Some(0)),
            moment(1, 2, Some(1)),
            moment(1, 3, Some(2)),
            moment(2, 1, Some(1)),
            moment(3, 1, Some(3)),
            moment(4, 1, None),
        ];
        parts(&events).iter().for_each(|part| viewing.add(part));
        let slice = |views, watch_ms| Slice { views, watch_ms };
        let found = viewing.figures(10);
        let expected = [
            ("ash".to_owned(), slice(2, 30_000)),
            ("fra".to_owned(), slice(1, 10_000)),
            (NO_REGION.to_owned(), slice(1, 10_000)),
        ];
        assert_eq!(found.by_region, expected.into());
        assert_eq!((found.by_edge.len(), found.watch_ms), (4, 60_000));
    }

    #[test]
    fn nothing_seen_is_nothing_told() {
        let none = figures(&[]);
        assert_eq!((none.views, none.startup_p50_ms, none.startup_success, none.rebuffer_ratio), (0, None, None, None));
    }

    #[test]
    fn agents_tell_their_device() {
        for (agent, device) in [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148", Device::Phone),
            ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Mobile Safari/537.36", Device::Phone),
            ("Mozilla/5.0 (Linux; Android 14; SM-X710) Safari/537.36", Device::Tablet),
            ("Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0)", Device::Tv),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", Device::Desktop),
            ("curl/8", Device::Other),
            ("", Device::Other),
        ] {
            assert_eq!(Device::of_agent(agent), device, "{agent}");
        }
    }

    #[test]
    fn words_read_back() {
        assert!(Phase::ALL.iter().all(|phase| phase.as_str().parse() == Ok(*phase)));
        assert!(Device::ALL.iter().all(|device| device.as_str().parse() == Ok(*device)));
    }
}
