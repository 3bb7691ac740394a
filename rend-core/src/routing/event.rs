//! What is logged of a decision: enough to explain it, nothing to find a viewer by.

use super::decide::{Decision, Viewer};
use super::table::{Continent, Place};
use crate::id::RequestId;

/// The event's name in logs.
pub const EDGE_SELECTED: &str = "rend_player_edge_selected";

/// One bootstrap's route. It cannot hold an address, a cookie, a token, a URL or a coordinate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EdgeSelected {
    request: RequestId,
    place: Option<Place>,
    continent: Option<Continent>,
    has_coordinates: bool,
    route: String,
    route_region: String,
    reason: &'static str,
    matched: Option<String>,
    host: String,
    /// Whole kilometres.
    distance_km: Option<u64>,
    failed_open: bool,
}

impl EdgeSelected {
    /// What is to be logged of `decision`.
    pub fn new(request: RequestId, viewer: &Viewer, decision: &Decision<'_>) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half the earth's girth")]
        let distance_km = decision.distance_km.map(|km| km.round() as u64);
        Self {
            request,
            place: viewer.place.clone(),
            continent: viewer.continent,
            has_coordinates: viewer.coordinates.is_some(),
            route: decision.route.id.to_string(),
            route_region: decision.route.region.clone(),
            reason: decision.reason.as_str(),
            matched: decision.matched.clone(),
            host: decision.route.public_url.host().to_owned(),
            distance_km,
            failed_open: decision.failed_open,
        }
    }

    /// Names and values, in a fixed order; what is not known is left out.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let optional = [
            ("country", self.place.as_ref().map(|place| place.country().to_string())),
            ("country_region", self.place.as_ref().and_then(|place| place.part().map(str::to_owned))),
            ("continent", self.continent.map(|continent| continent.to_string())),
            ("matched", self.matched.clone()),
            ("distance_km", self.distance_km.map(|km| km.to_string())),
        ];
        let mut fields = vec![
            ("request_id", self.request.to_string()),
            ("has_coordinates", self.has_coordinates.to_string()),
            ("route", self.route.clone()),
            ("route_region", self.route_region.clone()),
            ("reason", self.reason.to_owned()),
            ("playback_host", self.host.clone()),
            ("failed_open", self.failed_open.to_string()),
        ];
        fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AssetId;
    use crate::routing::{Coordinates, RouteTable, decide};

    #[test]
    fn a_logged_decision_explains_itself_and_says_not_where_the_viewer_is() {
        let table = RouteTable::of_expected(&"ams-1=amsterdam=https://ams-1.example.com".parse().unwrap()).unwrap();
        let viewer = Viewer {
            coordinates: Coordinates::new(51.507_412, -0.127_834),
            place: "GB-LND".parse().ok(),
            continent: Some(Continent::Europe),
        };
        let decision = decide(&table, &viewer, AssetId::from_bytes([1; 16]), &Default::default());
        let event = EdgeSelected::new(RequestId::from_bytes([2; 16]), &viewer, &decision);
        let line = format!("{:?} {event:?}", event.fields());
        for told in ["nearest", "ams-1.example.com", "358", "\"GB\"", "LND"] {
            assert!(line.contains(told), "{told}: {line}");
        }
        for secret in ["51.5", "0.127", "https://"] {
            assert!(!line.contains(secret), "{secret}: {line}");
        }
    }
}
