//! Sends viewers to an edge, and lets the decision explain itself: by distance, by country, and around an edge that is
//! away.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;

use rend_core::id::AssetId;
use rend_core::routing::{Condition, Coordinates, Health, RouteTable, Viewer, decide};

fn main() -> Result<(), Box<dyn Error>> {
    let edges = "ash-1=us-east=https://ash-1.example.com,ams-1=amsterdam=https://ams-1.example.com";
    let table = RouteTable::of_expected(&edges.parse()?)?;
    let asset: AssetId = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4".parse()?;

    let london = Viewer { coordinates: Coordinates::new(51.5074, -0.1278), ..Viewer::default() };
    let somewhere_in_canada = Viewer { place: Some("CA".parse()?), ..Viewer::default() };
    let nobody_knows = Viewer::default();

    let all_good = Health::new();
    let amsterdam_away = Health::from([("ams-1".parse()?, Condition::Away)]);

    for (who, viewer, health) in [
        ("a viewer in London", &london, &all_good),
        ("the same, while Amsterdam is away", &london, &amsterdam_away),
        ("a viewer in Canada", &somewhere_in_canada, &all_good),
        ("a viewer of whom nothing is known", &nobody_knows, &all_good),
    ] {
        let decision = decide(&table, viewer, asset, health);
        let distance = decision.distance_km.map_or_else(String::new, |km| format!(", {km:.0} km away"));
        println!("{who} plays from {} ({}{distance})", decision.route.id, decision.reason);
    }

    assert_eq!(decide(&table, &london, asset, &all_good).route.id.as_str(), "ams-1");
    assert_eq!(decide(&table, &london, asset, &amsterdam_away).route.id.as_str(), "ash-1");
    Ok(())
}
