//! A lower rung never costs more than a higher one, as far as players are told.
//!
//! Players order renditions by their bits a second and take a dearer one for a better one. What a rung really costs
//! depends on the film, so a lower one may come out dearer: then the higher one is told to cost a little more than it
//! does, or, where that would be a lie, the lower one is left out, since who can pay for it can have the better one.

use super::{Master, Variant};

impl Master {
    /// Makes variants, which stand lowest first, rise in bits a second.
    ///
    /// Those that are `measured` are lifted by a tenth at most, which is how far HLS lets a list be off; a lower one that
    /// is dearer still is left out, with its key frames. Where that is not known yet, all stay and are lifted as needed.
    pub fn ascend(&mut self, measured: bool) {
        if measured {
            let dear = |place: usize, variant: &Variant| {
                self.variants[place + 1..].iter().any(|higher| variant.bandwidth > liftable(higher.bandwidth))
            };
            let kept: Vec<bool> = self.variants.iter().enumerate().map(|(place, v)| !dear(place, v)).collect();
            let left: Vec<String> = self
                .variants
                .iter()
                .zip(&kept)
                .filter(|(_, kept)| !**kept)
                .map(|(v, _)| folder(&v.uri).to_owned())
                .collect();
            let mut kept = kept.into_iter();
            self.variants.retain(|_| kept.next().unwrap_or(true));
            self.iframes.retain(|keys| !left.iter().any(|folder_left| folder_left == folder(&keys.uri)));
        }
        let mut least = 0;
        for variant in &mut self.variants {
            variant.bandwidth = variant.bandwidth.max(least);
            least = variant.bandwidth.saturating_add(1);
        }
    }
}

/// The most that a variant of so many bits a second may be said to cost. The last of a hundredth is left for rounding, and
/// for each variant below it being one bit dearer than the one before.
const fn liftable(bandwidth: u64) -> u64 {
    bandwidth.saturating_add(bandwidth / 100 * 9)
}

fn folder(uri: &str) -> &str {
    uri.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn master(peaks: &[u64]) -> Master {
        let variant = |(place, peak): (usize, &u64), file: &str| Variant {
            uri: format!("{place}/{file}"),
            bandwidth: *peak,
            average: *peak,
            codecs: String::new(),
            resolution: None,
            millifps: None,
        };
        let variants = peaks.iter().enumerate().map(|peak| variant(peak, "index.m3u8")).collect();
        let iframes = peaks.iter().enumerate().take(2).map(|peak| variant(peak, "iframe.m3u8")).collect();
        Master { variants, iframes, ..Master::default() }
    }

    /// What is told of each variant that is listed, by its place.
    fn told(peaks: &[u64], measured: bool) -> Vec<(String, u64)> {
        let mut master = master(peaks);
        master.ascend(measured);
        for keys in &master.iframes {
            assert!(master.variants.iter().any(|variant| folder(&variant.uri) == folder(&keys.uri)), "{}", keys.uri);
        }
        master.variants.iter().map(|variant| (folder(&variant.uri).to_owned(), variant.bandwidth)).collect()
    }

    #[track_caller]
    fn check(peaks: &[u64], measured: bool, expect: &[(&str, u64)]) {
        let told = told(peaks, measured);
        assert_eq!(told.iter().map(|(place, peak)| (place.as_str(), *peak)).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn rungs_that_rise_are_told_as_they_are() {
        check(&[400, 700, 1500], true, &[("0", 400), ("1", 700), ("2", 1500)]);
        check(&[], true, &[]);
    }

    #[test]
    fn a_rung_that_is_a_little_cheaper_than_the_one_below_is_told_to_cost_as_much() {
        check(&[1050, 1000, 2000], true, &[("0", 1050), ("1", 1051), ("2", 2000)]);
    }

    #[test]
    fn a_rung_that_is_much_dearer_than_a_better_one_is_left_out() {
        check(&[1200, 1000, 2000], true, &[("1", 1000), ("2", 2000)]);
        check(&[1200, 2000, 1000], true, &[("2", 1000)]);
    }

    #[test]
    fn nothing_is_left_out_while_rungs_are_still_made() {
        check(&[1200, 1000, 2000], false, &[("0", 1200), ("1", 1201), ("2", 2000)]);
    }

    proptest! {
        #[test]
        fn what_players_are_told_rises_and_is_no_lie(peaks in prop::collection::vec(20_000_u64..20_000_000, 1..8)) {
            let told = told(&peaks, true);
            let of = |place: &str| peaks[place.parse::<usize>().unwrap()];
            for pair in told.windows(2) {
                prop_assert!(pair[0].1 < pair[1].1);
            }
            for (place, said) in &told {
                prop_assert!(*said >= of(place) && *said * 10 <= of(place) * 11, "{said} of {}", of(place));
            }
            let top = (peaks.len() - 1).to_string();
            prop_assert_eq!(told.last().map(|(place, _)| place.as_str()), Some(top.as_str()));
            // Whoever can pay for what was left out can have something better.
            for (place, peak) in peaks.iter().enumerate() {
                let better = |shown: usize| shown == place || shown > place && peaks[shown] < *peak;
                prop_assert!(told.iter().any(|(shown, _)| better(shown.parse().unwrap())));
            }
        }
    }
}
