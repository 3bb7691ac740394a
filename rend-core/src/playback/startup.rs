//! The startup set: what an edge fetches ahead of viewers, most needed first.

use crate::artifact::{ArtifactPath, Rendition};
use crate::asset::{Asset, RenditionState};

/// The first `artifacts_max` artifacts of `asset` in the order in which playback needs them.
///
/// The start rung is the lowest one that is ready, or planned while nothing is. Order: the master and the start rung's
/// list; its init; its first segment and the opener; its second segment; the lists and inits of the other rungs; their
/// first segments, ascending; their second ones. A lexical order would fetch the deep tail of one rung before the first
/// segment of another.
pub fn of_asset(asset: &Asset, artifacts_max: usize) -> Vec<ArtifactPath> {
    let ready: Vec<Rendition> =
        asset.renditions.iter().filter(|row| row.state == RenditionState::Ready).map(|row| row.rendition).collect();
    let rungs =
        if ready.is_empty() { asset.renditions.iter().map(|row| row.rendition).take(1).collect() } else { ready };
    of_rungs(&rungs, artifacts_max)
}

/// The same for `rungs`, the start rung first.
pub fn of_rungs(rungs: &[Rendition], artifacts_max: usize) -> Vec<ArtifactPath> {
    let Some((&start, others)) = rungs.split_first() else { return Vec::new() };
    let segment = |rendition, index| ArtifactPath::Segment { rendition, index };
    let mut set = vec![
        ArtifactPath::Master,
        ArtifactPath::Variant(start),
        ArtifactPath::Init(start),
        segment(start, 0),
        ArtifactPath::Opener,
        segment(start, 1),
    ];
    set.extend(others.iter().flat_map(|&rung| [ArtifactPath::Variant(rung), ArtifactPath::Init(rung)]));
    set.extend(others.iter().map(|&rung| segment(rung, 0)));
    set.extend(others.iter().map(|&rung| segment(rung, 1)));
    set.push(ArtifactPath::Poster);
    set.truncate(artifacts_max);
    set
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sixteen_artifacts_start_four_rungs() {
        let rungs = [Rendition::P360, Rendition::P480, Rendition::P720, Rendition::P1080];
        let set: Vec<_> = of_rungs(&rungs, 16).iter().map(ToString::to_string).collect();
        assert_eq!(
            set[..6],
            [
                "hls/master.m3u8",
                "hls/360p/index.m3u8",
                "hls/360p/init_360p.mp4",
                "hls/360p/segment_00000.m4s",
                "opener.mp4",
                "hls/360p/segment_00001.m4s"
            ]
        );
        assert_eq!(set.len(), 16);
        assert_eq!(set[12], "hls/480p/segment_00000.m4s");
        assert_eq!(set[15], "hls/480p/segment_00001.m4s");
    }

    proptest! {
        #[test]
        fn whatever_fits_lets_the_start_rung_play(count in 1_usize..=6, artifacts_max in 6_usize..64) {
            let set = of_rungs(&Rendition::RUNGS[..count], artifacts_max);
            prop_assert!(set.len() <= artifacts_max);
            let start = Rendition::RUNGS[0];
            for needed in [
                ArtifactPath::Master,
                ArtifactPath::Variant(start),
                ArtifactPath::Init(start),
                ArtifactPath::Segment { rendition: start, index: 0 },
                ArtifactPath::Segment { rendition: start, index: 1 },
            ] {
                prop_assert!(set.contains(&needed));
            }
            let mut once = set.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), set.len());
        }
    }
}
