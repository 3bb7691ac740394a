//! What was made, read back as a viewer would and held against the rules of HLS.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::media::check::{Broken, Described, List, Presentation, Segment, lists_of, parts_of, presentation, utf8};
use rend_core::media::plan::{Cut, Plan, Route};
use rend_core::media::probe::Cadence;

use crate::process::Attempt;
use crate::publish::{SMALL, Shelf};
use crate::trouble::Trouble;

/// What a presentation must come to, as far as that is known apart from it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Expected {
    /// How long every list is, in microseconds.
    duration_us: Option<u64>,
    /// How many pictures a rendition has, by the address of its list.
    frames: BTreeMap<String, u64>,
}

impl Expected {
    /// What was planned, if units made all of it: `made` has the number of each and its pictures. Where one found less or
    /// more in the source than that tells of itself, or where what was made had to be shortened, nobody knows how much there
    /// should be.
    pub(crate) fn of(plan: &Plan, made: &[(u32, u64)], shortened: bool) -> Self {
        let is_even = plan.source.video.as_ref().is_some_and(|video| video.cadence == Cadence::Constant);
        let is_whole = plan.units.iter().all(|unit| {
            let made = made.iter().filter(|(number, _)| *number == unit.number);
            made.map(|(_, frames)| *frames).eq(std::iter::once(unit.frames))
        });
        if !is_even || !is_whole || shortened {
            return Self::default();
        }
        let total = plan.cuts.last().map_or(0, Cut::end);
        Self {
            // A source that is passed through above the rungs ends with its own last picture, not on their grid.
            duration_us: (plan.route == Route::Transcode).then(|| plan.grid.micros_at(total)),
            frames: plan.rungs.iter().map(|rung| (format!("{}/index.m3u8", rung.rendition), total)).collect(),
        }
    }
}

impl Attempt<'_> {
    /// Reads back what was made and holds it against the rules.
    pub(crate) async fn check(&self, expected: &Expected) -> Result<(), Trouble> {
        let broken = self.shelf.verify(expected).await?;
        let told: Vec<String> = broken.iter().map(ToString::to_string).collect();
        match broken.iter().find(|broken| broken.is_error()) {
            None => {
                tracing::debug!(asset = %self.shelf.asset, warnings = told.join("; "), "checked");
                Ok(())
            }
            Some(first) => {
                let detail = format!("what was made breaks a rule of HLS: {first}");
                Err(Trouble::permanent(CHECK_FAILED, detail, told.join("\n")))
            }
        }
    }
}

impl Shelf {
    /// Every rule that the stored presentation breaks.
    async fn verify(&self, expected: &Expected) -> Result<Vec<Broken>, Trouble> {
        let mut unread = Vec::new();
        let mut all = Presentation {
            master: self.text(MASTER, &mut unread).await?,
            duration_us: expected.duration_us,
            ..Presentation::default()
        };
        for uri in lists_of(&all.master) {
            let text = self.text(&uri, &mut unread).await?;
            let (map, segments) = parts_of(&text);
            let folder = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
            let frames = expected.frames.get(&uri).copied();
            let mut list = List { uri: uri.clone(), text, frames, ..List::default() };
            if let Some(map) = map {
                let head = self.head(&format!("{folder}/{map}")).await?;
                list.init = head.and_then(|(bytes, _)| Described::read(&bytes).ok());
            }
            let keys_only = list.text.lines().any(|line| line == "#EXT-X-I-FRAMES-ONLY");
            if let (Some(described), false) = (&list.init, keys_only) {
                let reads = segments.into_iter().map(|name: String| async move {
                    let head = self.head(&format!("{folder}/{name}")).await?;
                    let read = head.and_then(|(bytes, len)| Segment::read(&described.init, &bytes, len).ok());
                    Ok::<_, Trouble>(read)
                });
                let read: Vec<_> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
                // One that is missing or can not be read makes the list shorter than it says, which is a finding.
                list.segments = read.into_iter().map_while(|segment| segment).collect();
            }
            all.lists.push(list);
        }
        unread.extend(presentation(&all));
        Ok(unread)
    }

    /// The text of a list, empty when there is none.
    async fn text(&self, name: &str, unread: &mut Vec<Broken>) -> Result<String, Trouble> {
        let bytes = self.object(name, u64::MAX).await?.map(|(bytes, _)| bytes).unwrap_or_default();
        let (text, broken) = utf8(name, &bytes);
        unread.extend(broken);
        Ok(text)
    }

    async fn head(&self, name: &str) -> Result<Option<(bytes::Bytes, u64)>, Trouble> {
        self.object(name, SMALL).await
    }

    /// An object by its name beside the multivariant playlist; `None` when there is none, or can be none.
    async fn object(&self, name: &str, bytes_max: u64) -> Result<Option<(bytes::Bytes, u64)>, Trouble> {
        let Ok(path) = format!("hls/{name}").parse::<ArtifactPath>() else { return Ok(None) };
        match self.get(&ObjectKey::artifact(self.asset, path), bytes_max).await {
            Ok(read) => Ok(Some(read)),
            Err(rend_storage::StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The code of a presentation that breaks a rule.
pub(crate) const CHECK_FAILED: &str = "check_failed";
const MASTER: &str = "master.m3u8";
/// Segments read at once.
const READS_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rend_core::id::AssetId;
    use rend_core::media::plan::{Policy, plan};
    use rend_core::media::probe::{Limits, read};
    use rend_core::media::sniff::Container;
    use rend_core::time::Clock;
    use rend_storage::memory::MemoryObjects;

    use super::*;

    const PROBE: &str = r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "h264", "width": 1280, "height": 720,
        "pix_fmt": "yuv420p", "r_frame_rate": "30/1", "avg_frame_rate": "30/1", "duration": "60.0", "nb_frames": "1800"}],
        "format": {"duration": "60.0", "start_time": "0.0"}}"#;

    /// The expected length in milliseconds and the expected pictures of each rung, once units made what `change` says.
    #[track_caller]
    fn check(
        change: impl FnOnce(&mut Plan, &mut Vec<(u32, u64)>),
        shortened: bool,
        expect: Option<(Option<u64>, u64)>,
    ) {
        let source = read(PROBE.as_bytes(), Container::Mov, &Limits::default()).unwrap();
        let mut plan = plan(&source, None, &Policy::default());
        let mut made = plan.units.iter().map(|unit| (unit.number, unit.frames)).collect();
        change(&mut plan, &mut made);
        let expected = Expected::of(&plan, &made, shortened);
        assert_eq!(expected.duration_us.map(|us| us / 1000), expect.and_then(|(millis, _)| millis));
        let each = |rung| expect.map(|(_, frames)| (format!("{rung}/index.m3u8"), frames));
        assert_eq!(expected.frames, ["360p", "480p", "720p"].into_iter().filter_map(each).collect());
    }

    #[test]
    fn what_was_planned_is_expected_where_every_unit_made_what_it_should() {
        check(|_, _| {}, false, Some((Some(60_000), 1800)));
        check(|_, _| {}, true, None);
        check(|_, made| made.truncate(2), false, None);
        check(|_, made| made[1].1 -= 1, false, None);
        check(|plan, _| plan.source.video.as_mut().unwrap().cadence = Cadence::Variable, false, None);
        check(|plan, _| plan.route = Route::Passthrough, false, Some((None, 1800)));
    }

    #[tokio::test]
    async fn a_list_that_is_no_text_breaks_the_first_rule() {
        let clock: Arc<dyn Clock> = Arc::new(rend_shell::SystemClock::start());
        let asset = AssetId::new(clock.wall(), rend_shell::ten());
        let shelf = Shelf { objects: Arc::new(MemoryObjects::default()), clock, asset };
        shelf.put(ArtifactPath::Master, b"#EXTM3U\n#\xFF\n".to_vec().into()).await.unwrap();
        let broken = shelf.verify(&Expected::default()).await.unwrap();
        assert_eq!(broken[0].to_string(), "error P1 master.m3u8: is no UTF-8 from byte 9 on");
    }
}
