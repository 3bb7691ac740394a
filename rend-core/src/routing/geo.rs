//! Points on the globe and the way between them.

use std::fmt;

/// A point on the globe, known to be in range.
///
/// Its `Debug` shows whole degrees: where a viewer is exactly is nobody's business.
#[derive(Clone, Copy, PartialEq)]
pub struct Coordinates {
    latitude_deg: f64,
    longitude_deg: f64,
}

/// The earth's mean radius in kilometres, (2a + b) / 3 of WGS 84.
pub const EARTH_RADIUS_KM: f64 = 6_371.008_8;

impl Coordinates {
    /// The point at these degrees, if there is one.
    pub fn new(latitude_deg: f64, longitude_deg: f64) -> Option<Self> {
        let on_globe = (-90.0..=90.0).contains(&latitude_deg) && (-180.0..=180.0).contains(&longitude_deg);
        on_globe.then_some(Self { latitude_deg, longitude_deg })
    }

    /// The point that two headers name in decimal degrees, if they do.
    pub fn parse(latitude: &str, longitude: &str) -> Option<Self> {
        let degrees = |text: &str| {
            let text = text.trim();
            let plain = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
            text.parse::<f64>().ok().filter(|_| plain)
        };
        Self::new(degrees(latitude)?, degrees(longitude)?)
    }

    /// The length of the great circle arc to `other`, in kilometres (haversine).
    pub fn distance_km(self, other: Self) -> f64 {
        let (lat_a, lat_b) = (self.latitude_deg.to_radians(), other.latitude_deg.to_radians());
        let half_lat = (lat_b - lat_a) / 2.0;
        let half_lon = (other.longitude_deg - self.longitude_deg).to_radians() / 2.0;
        let chord = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * chord.sqrt().clamp(0.0, 1.0).asin()
    }
}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coordinates(about {:.0}, {:.0})", self.latitude_deg, self.longitude_deg)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(lat: f64, lon: f64) -> Coordinates {
        Coordinates::new(lat, lon).unwrap()
    }

    #[track_caller]
    fn check(a: (f64, f64), b: (f64, f64), km: f64) {
        let found = at(a.0, a.1).distance_km(at(b.0, b.1));
        assert!((found - km).abs() < 5.0, "{found} km, not {km} km");
    }

    #[test]
    fn known_cities_are_as_far_apart_as_they_are() {
        let (london, ashburn, amsterdam) = ((51.5074, -0.1278), (39.0438, -77.4874), (52.3676, 4.9041));
        let (new_york, tokyo, sydney) = ((40.7128, -74.0060), (35.6762, 139.6503), (-33.8688, 151.2093));
        check(london, amsterdam, 358.0);
        check(london, ashburn, 5_917.0);
        check(london, new_york, 5_570.0);
        check(tokyo, sydney, 7_823.0);
        check((0.0, 0.0), (0.0, 180.0), 20_015.1);
        check((90.0, 0.0), (-90.0, 77.0), 20_015.1);
        check((0.0, 179.5), (0.0, -179.5), 111.2);
    }

    #[test]
    fn only_points_on_the_globe_are_coordinates() {
        for (lat, lon) in
            [("90.1", "0"), ("0", "180.5"), ("NaN", "0"), ("inf", "0"), ("", "0"), ("1e1", "0"), ("a", "0")]
        {
            assert_eq!(Coordinates::parse(lat, lon), None, "{lat},{lon}");
        }
        assert_eq!(Coordinates::parse(" 51.5 ", "-0.1"), Coordinates::new(51.5, -0.1));
        assert_eq!(Coordinates::new(f64::NAN, 0.0), None);
    }

    #[test]
    fn where_a_viewer_is_exactly_does_not_show() {
        assert_eq!(format!("{:?}", at(51.5074, -0.1278)), "Coordinates(about 52, -0)");
    }

    fn point() -> impl Strategy<Value = Coordinates> {
        (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| at(lat, lon))
    }

    proptest! {
        #[test]
        fn distance_is_a_metric(a in point(), b in point(), c in point()) {
            let (ab, ba) = (a.distance_km(b), b.distance_km(a));
            prop_assert!((0.0..=std::f64::consts::PI * EARTH_RADIUS_KM + 1e-6).contains(&ab));
            prop_assert!((ab - ba).abs() < 1e-6);
            prop_assert!(a.distance_km(a) < 1e-6);
            prop_assert!(a.distance_km(c) <= ab + b.distance_km(c) + 1e-3);
        }
    }
}
