//! Which edge a viewer plays from, and why.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::geo::Coordinates;
use super::health::{Condition, Health};
use super::table::{Continent, Place, Route, RouteTable};
use crate::asset::{UnknownWord, named};
use crate::id::AssetId;

/// What a trusted header tells of a viewer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Viewer {
    /// Where they are.
    pub coordinates: Option<Coordinates>,
    /// Their country, or the part of it.
    pub place: Option<Place>,
    /// Their continent.
    pub continent: Option<Continent>,
}

/// Where a viewer plays from. It can be explained: it carries its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'t> {
    /// The edge.
    pub route: &'t Route,
    /// Why its region.
    pub reason: Reason,
    /// The code that matched, when one did.
    pub matched: Option<String>,
    /// How far the viewer is from it, in kilometres, when both places are known.
    pub distance_km: Option<f64>,
    /// No edge was good, so health was not looked at.
    pub failed_open: bool,
    /// The edges to try after it, best first, at most [`FALLBACKS_MAX`].
    pub fallbacks: Vec<&'t Route>,
}

named! {
    /// Why a region was chosen.
    Reason {
        /// It is the nearest to the viewer's coordinates.
        Nearest = "nearest",
        /// It is for the viewer's part of a country.
        CountryRegion = "country_region",
        /// It is for the viewer's country.
        Country = "country",
        /// It is for the viewer's continent.
        Continent = "continent",
        /// Nothing told where the viewer is, or no region is for them.
        Default = "default",
    }
}

/// Edges that a decision names beside the chosen one.
pub const FALLBACKS_MAX: usize = 3;
/// How far above the mean load of its region an edge may be before the next one takes a title, in thousandths.
pub const LOAD_BOUND_PERMILLE: u64 = 1250;
/// Viewers below which load says nothing.
pub const LOAD_FLOOR: u64 = 16;

/// Sends a viewer of `asset` to an edge.
///
/// 1. With coordinates, regions are tried from the nearest edge outward, ties by priority, then id.
/// 2. Else the region for the viewer's part of the country, country, continent, else the default: the first of the table.
/// 3. Within a region the asset is hashed onto the edges by their weights, so that a title lives on few caches; an edge
///    far above its region's mean load passes the title on.
/// 4. Edges that are away are passed over, and so are those that are down, but never more than half of a region for
///    that. When that leaves none at all, health is ignored: a doubtful edge is better than none.
pub fn decide<'t>(table: &'t RouteTable, viewer: &Viewer, asset: AssetId, health: &Health) -> Decision<'t> {
    let (ranked, reason, matched) = rank(table, viewer);
    let mut order: Vec<&Route> = Vec::new();
    let mut failed_open = false;
    for pass_over in [true, false] {
        let mut seen = BTreeSet::new();
        for route in &ranked {
            if seen.insert(route.region.as_str()) {
                order.extend(within(table, &route.region, asset, health, pass_over));
            }
        }
        if !order.is_empty() {
            break;
        }
        failed_open = true;
    }
    let route = order.first().copied().unwrap_or_else(|| &table.routes()[0]);
    let distance_km = viewer.coordinates.and_then(|from| Some(from.distance_km(route.at?)));
    let fallbacks = order.into_iter().skip(1).take(FALLBACKS_MAX).collect();
    Decision { route, reason, matched, distance_km, failed_open, fallbacks }
}

/// The edges of `region` that `asset` lives on, best first, without looking at health: where a warm goes.
pub fn owners<'t>(table: &'t RouteTable, region: &str, asset: AssetId, count: usize) -> Vec<&'t Route> {
    let mut owners = within(table, region, asset, &Health::new(), false);
    owners.truncate(count);
    owners
}

/// Every route, best region first, with why the first is first.
fn rank<'t>(table: &'t RouteTable, viewer: &Viewer) -> (Vec<&'t Route>, Reason, Option<String>) {
    let mut routes: Vec<&Route> = table.routes().iter().collect();
    if let Some(from) = viewer.coordinates
        && routes.iter().any(|route| route.at.is_some())
    {
        let km = |route: &Route| route.at.map_or(f64::INFINITY, |at| from.distance_km(at));
        // The sort is stable, and the table is in the order of priority and id.
        routes.sort_by(|a, b| km(a).total_cmp(&km(b)));
        return (routes, Reason::Nearest, None);
    }
    let first = |routes: &mut Vec<&'t Route>, fits: &dyn Fn(&Route) -> bool| {
        routes.sort_by_key(|route| !fits(route));
        routes.first().is_some_and(|route| fits(route))
    };
    if let Some(place) = &viewer.place {
        if !place.is_country() && first(&mut routes, &|route| route.countries.contains(place)) {
            return (routes, Reason::CountryRegion, Some(place.to_string()));
        }
        let country = place.country();
        if first(&mut routes, &|route| route.countries.contains(&country)) {
            return (routes, Reason::Country, Some(country.to_string()));
        }
    }
    if let Some(continent) = viewer.continent
        && first(&mut routes, &|route| route.continents.contains(&continent))
    {
        return (routes, Reason::Continent, Some(continent.to_string()));
    }
    (routes, Reason::Default, None)
}

/// The edges of one region, best first for `asset`.
fn within<'t>(table: &'t RouteTable, region: &str, asset: AssetId, health: &Health, pass_over: bool) -> Vec<&'t Route> {
    let condition = |route: &Route| health.get(&route.id).copied().unwrap_or(Condition::GOOD);
    let mut routes: Vec<&Route> = table.routes().iter().filter(|route| route.region == region).collect();
    if pass_over {
        routes.retain(|route| condition(route) != Condition::Away);
        // Half of what is left: a region of one good and one absent edge does not lose its last.
        let mut ejectable = routes.len() / 2;
        routes.retain(|route| {
            let eject = condition(route) == Condition::Down && ejectable > 0;
            ejectable -= usize::from(eject);
            !eject
        });
    }
    let share = |route: &Route| match condition(route) {
        Condition::Good { share_permille, .. } => share_permille,
        // An edge that could not be passed over is the last to be asked.
        Condition::Down | Condition::Away => 1,
    };
    let load = |route: &Route| match condition(route) {
        Condition::Good { load, .. } => load,
        Condition::Down | Condition::Away => 0,
    };
    let total: u64 = routes.iter().map(|route| load(route)).sum();
    let weights: u64 = routes.iter().map(|route| u64::from(route.weight.max(1))).sum();
    let overloaded = |route: &Route| {
        let fair = total.saturating_mul(u64::from(route.weight.max(1))) / weights.max(1);
        load(route) > LOAD_FLOOR && load(route).saturating_mul(1000) > fair.saturating_mul(LOAD_BOUND_PERMILLE)
    };
    let score = |route: &Route| {
        let weight = f64::from(route.weight.max(1)) * f64::from(share(route));
        weighted_score(asset, route.id.as_str(), weight)
    };
    routes.sort_by(|a, b| {
        overloaded(a).cmp(&overloaded(b)).then_with(|| score(b).partial_cmp(&score(a)).unwrap_or(Ordering::Equal))
    });
    routes
}

/// The score of an edge for an asset: the highest wins, each edge wins in proportion to its weight, and an edge that
/// comes or goes moves no title between others (weighted rendezvous hashing; Thaler and Ravishankar, 1998).
fn weighted_score(asset: AssetId, edge: &str, weight: f64) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in asset.as_bytes().iter().chain(edge.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV alone mixes its last bytes poorly; one round of the generator spreads them.
    let bits = crate::prng::Prng::seeded(hash).bits() >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let unit = (bits as f64 + 0.5) / 9_007_199_254_740_992.0;
    -weight / unit.ln()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::id::EdgeId;

    const ASSET: AssetId = AssetId::from_bytes([7; 16]);

    fn table(edges: &str) -> RouteTable {
        let list: Vec<_> = edges
            .split(' ')
            .map(|e| {
                let (id, region) = e.split_once('@').unwrap();
                format!("{id}={region}=https://{id}.example.com")
            })
            .collect();
        RouteTable::of_expected(&list.join(",").parse().unwrap()).unwrap()
    }

    fn two() -> RouteTable {
        table("ash-1@us-east ams-1@amsterdam")
    }

    fn health(entries: &[(&str, Condition)]) -> Health {
        entries.iter().map(|(id, c)| (id.parse().unwrap(), *c)).collect()
    }

    fn viewer(at: Option<(f64, f64)>, place: &str, continent: &str) -> Viewer {
        Viewer {
            coordinates: at.map(|(lat, lon)| Coordinates::new(lat, lon).unwrap()),
            place: place.parse().ok(),
            continent: continent.parse().ok(),
        }
    }

    #[track_caller]
    fn check(viewer: &Viewer, edge: &str, reason: Reason, matched: Option<&str>) {
        let table = two();
        let decision = decide(&table, viewer, ASSET, &Health::new());
        let found = (decision.route.id.as_str(), decision.reason, decision.matched.as_deref());
        assert_eq!(found, (edge, reason, matched), "{viewer:?}");
    }

    #[test]
    fn a_viewer_goes_to_the_nearest_edge_or_else_by_code_or_else_to_the_default() {
        let (london, chicago) = ((51.5, -0.1), (41.9, -87.6));
        check(&viewer(Some(london), "US", "NA"), "ams-1", Reason::Nearest, None);
        check(&viewer(Some(chicago), "NL", "EU"), "ash-1", Reason::Nearest, None);
        check(&viewer(None, "DE", ""), "ams-1", Reason::Country, Some("DE"));
        check(&viewer(None, "DE-BE", ""), "ams-1", Reason::Country, Some("DE"));
        check(&viewer(None, "JP", "AS"), "ams-1", Reason::Continent, Some("AS"));
        check(&viewer(None, "", "SA"), "ash-1", Reason::Continent, Some("SA"));
        check(&viewer(None, "", ""), "ash-1", Reason::Default, None);
        check(&viewer(None, "JP", "AN"), "ash-1", Reason::Default, None);
    }

    #[test]
    fn a_continent_is_never_taken_for_a_country() {
        // Namibia's code is North America's, and Namibia is in Africa.
        check(&viewer(None, "NA", "AF"), "ams-1", Reason::Continent, Some("AF"));
    }

    #[test]
    fn a_part_of_a_country_comes_before_the_country() {
        let mut routes = two().routes().to_vec();
        routes[1].countries.push("US-WA".parse().unwrap());
        let table = RouteTable::new(routes).unwrap();
        let decision = decide(&table, &viewer(None, "US-WA", ""), ASSET, &Health::new());
        assert_eq!((decision.route.id.as_str(), decision.reason), ("ams-1", Reason::CountryRegion));
    }

    #[test]
    fn an_edge_that_is_away_is_passed_over_for_the_next_region() {
        let table = two();
        let london = viewer(Some((51.5, -0.1)), "", "");
        let away = health(&[("ams-1", Condition::Away)]);
        let decision = decide(&table, &london, ASSET, &away);
        assert_eq!(decision.route.id.as_str(), "ash-1");
        assert!(decision.distance_km.is_some_and(|km| (5800.0..6000.0).contains(&km)));
        assert!(!decision.failed_open);
    }

    #[test]
    fn when_every_edge_is_bad_health_is_ignored() {
        let table = two();
        let bad = health(&[("ams-1", Condition::Away), ("ash-1", Condition::Away)]);
        let decision = decide(&table, &viewer(Some((51.5, -0.1)), "", ""), ASSET, &bad);
        assert_eq!(decision.route.id.as_str(), "ams-1");
        assert!(decision.failed_open);
    }

    #[test]
    fn no_more_than_half_of_a_region_is_passed_over_for_being_down() {
        let table = table("a@us-east b@us-east c@us-east d@us-east");
        let down = health(&[("a", Condition::Down), ("b", Condition::Down), ("c", Condition::Down)]);
        let decision = decide(&table, &Viewer::default(), ASSET, &down);
        assert_eq!(decision.fallbacks.len(), 1, "two of four are left");
        assert_eq!(decision.route.id.as_str(), "d", "the good one is asked first");
    }

    #[test]
    fn a_viral_title_is_passed_on_by_an_edge_far_above_the_mean() {
        let table = table("a@us-east b@us-east c@us-east");
        let home = decide(&table, &Viewer::default(), ASSET, &Health::new()).route.id.clone();
        let mut busy = Health::new();
        busy.insert(home.clone(), Condition::Good { share_permille: 1000, load: 1000 });
        let next = decide(&table, &Viewer::default(), ASSET, &busy);
        assert_ne!(next.route.id, home);
        busy.insert(home.clone(), Condition::Good { share_permille: 1000, load: LOAD_FLOOR });
        assert_eq!(decide(&table, &Viewer::default(), ASSET, &busy).route.id, home);
    }

    #[test]
    fn titles_spread_by_weight() {
        let mut routes = table("a@us-east b@us-east c@us-east").routes().to_vec();
        routes[0].weight = 2;
        let table = RouteTable::new(routes).unwrap();
        let mut counts: BTreeMap<EdgeId, u32> = BTreeMap::new();
        let mut prng = crate::prng::Prng::seeded(3);
        for _ in 0..8000 {
            let mut bytes = [0; 16];
            prng.fill(&mut bytes);
            let decision = decide(&table, &Viewer::default(), AssetId::from_bytes(bytes), &Health::new());
            *counts.entry(decision.route.id.clone()).or_default() += 1;
        }
        let of = |id: &str| counts[&id.parse::<EdgeId>().unwrap()];
        assert!((3800..4200).contains(&of("a")), "{counts:?}");
        assert!((1850..2150).contains(&of("b")) && (1850..2150).contains(&of("c")), "{counts:?}");
    }

    #[test]
    fn owners_are_the_edges_that_viewers_are_sent_to() {
        let table = table("a@us-east b@us-east c@us-east d@amsterdam");
        let owners: Vec<_> = owners(&table, "us-east", ASSET, 2).iter().map(|r| r.id.clone()).collect();
        let decision = decide(&table, &Viewer::default(), ASSET, &Health::new());
        assert_eq!(owners, [decision.route.id.clone(), decision.fallbacks[0].id.clone()]);
    }

    proptest! {
        #[test]
        fn an_edge_that_goes_moves_only_its_own_titles(bytes in any::<[u8; 16]>(), gone in 0usize..5) {
            let ids = ["a", "b", "c", "d", "e"];
            let all = table("a@us-east b@us-east c@us-east d@us-east e@us-east");
            let left: Vec<_> = all.routes().iter().filter(|r| r.id.as_str() != ids[gone]).cloned().collect();
            let left = RouteTable::new(left).unwrap();
            let asset = AssetId::from_bytes(bytes);
            let before = decide(&all, &Viewer::default(), asset, &Health::new()).route.id.clone();
            let after = decide(&left, &Viewer::default(), asset, &Health::new()).route.id.clone();
            prop_assert!(before == after || before.as_str() == ids[gone]);
        }

        #[test]
        fn somebody_always_serves_and_nobody_twice(
            conditions in prop::collection::vec(0u8..3, 4), lat in -90.0..90.0f64, lon in -180.0..180.0f64
        ) {
            let table = table("a@us-east b@us-east c@amsterdam d@london");
            let condition = |n: u8| [Condition::GOOD, Condition::Down, Condition::Away][usize::from(n)];
            let health: Health = table.routes().iter().zip(conditions).map(|(r, n)| (r.id.clone(), condition(n))).collect();
            let decision = decide(&table, &viewer(Some((lat, lon)), "", ""), ASSET, &health);
            let mut ids: Vec<_> = decision.fallbacks.iter().map(|r| &r.id).chain([&decision.route.id]).collect();
            let named = ids.len();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), named);
            let all_away = health.values().all(|c| *c == Condition::Away);
            prop_assert_eq!(decision.failed_open, all_away);
            prop_assert!(all_away || health[&decision.route.id] != Condition::Away);
        }
    }
}
