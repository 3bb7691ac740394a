//! Where a viewer is, as the network in front of Rend says it in headers.

use std::fmt;
use std::str::FromStr;

use super::decide::Viewer;
use super::geo::Coordinates;
use super::table::Place;
use crate::asset::{UnknownWord, named};

named! {
    /// Whose headers are trusted. Anybody can send a header, so none is read unless the network in front of Rend is known
    /// to set or strip it.
    GeoHeaders {
        /// Nobody's.
        None = "none",
        /// Vercel's.
        Vercel = "vercel",
        /// Cloudflare's, with the managed transform that adds visitor location headers.
        Cloudflare = "cloudflare",
        /// Those that a Fastly service sets from `client.geo.*`.
        Fastly = "fastly",
    }
}

impl GeoHeaders {
    /// The names for latitude, longitude, country, part of the country and continent, in lower case.
    pub const fn names(self) -> Option<[&'static str; 5]> {
        match self {
            Self::None => None,
            Self::Vercel => Some([
                "x-vercel-ip-latitude",
                "x-vercel-ip-longitude",
                "x-vercel-ip-country",
                "x-vercel-ip-country-region",
                "x-vercel-ip-continent",
            ]),
            Self::Cloudflare => {
                Some(["cf-iplatitude", "cf-iplongitude", "cf-ipcountry", "cf-region-code", "cf-ipcontinent"])
            }
            Self::Fastly => Some([
                "x-geo-latitude",
                "x-geo-longitude",
                "x-geo-country-code",
                "x-geo-region",
                "x-geo-continent-code",
            ]),
        }
    }

    /// The name of the header that holds the address of whoever asked the network; none when nobody's word counts.
    pub const fn client_address(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Vercel => Some("x-vercel-forwarded-for"),
            Self::Cloudflare => Some("cf-connecting-ip"),
            Self::Fastly => Some("fastly-client-ip"),
        }
    }

    /// What the headers tell of a viewer. Whatever cannot be read counts as not told.
    pub fn viewer<'h>(self, header: impl Fn(&str) -> Option<&'h str>) -> Viewer {
        let Some(names) = self.names() else { return Viewer::default() };
        let [latitude, longitude, country, part, continent] = names.map(|name| header(name).map(str::trim));
        let country: Option<Place> = country.and_then(|country| country.parse().ok()).filter(Place::is_country);
        let place = match (&country, part) {
            (Some(country), Some(part)) => format!("{country}-{part}").parse().ok().or_else(|| Some(country.clone())),
            (country, _) => country.clone(),
        };
        Viewer {
            coordinates: latitude.zip(longitude).and_then(|(lat, lon)| Coordinates::parse(lat, lon)),
            place,
            continent: continent.and_then(|continent| continent.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Continent;

    #[track_caller]
    fn check(whose: GeoHeaders, headers: &[(&str, &str)], place: Option<&str>, has_coordinates: bool) {
        let viewer = whose.viewer(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value));
        assert_eq!(viewer.place.map(|p| p.to_string()).as_deref(), place, "{headers:?}");
        assert_eq!(viewer.coordinates.is_some(), has_coordinates, "{headers:?}");
    }

    #[test]
    fn only_the_trusted_headers_are_read_and_only_what_makes_sense_counts() {
        let vercel = [
            ("x-vercel-ip-latitude", "51.5"),
            ("x-vercel-ip-longitude", "-0.1"),
            ("x-vercel-ip-country", "GB"),
            ("x-vercel-ip-country-region", "LND"),
        ];
        check(GeoHeaders::Vercel, &vercel, Some("GB-LND"), true);
        check(GeoHeaders::None, &vercel, None, false);
        check(GeoHeaders::Cloudflare, &vercel, None, false);
        check(GeoHeaders::Cloudflare, &[("cf-ipcountry", "T1")], None, false);
        check(GeoHeaders::Cloudflare, &[("cf-ipcountry", "US"), ("cf-region-code", "nowhere")], Some("US"), false);
        check(GeoHeaders::Cloudflare, &[("cf-iplatitude", "91"), ("cf-iplongitude", "0")], None, false);
        check(GeoHeaders::Cloudflare, &[("cf-iplatitude", "51")], None, false);
        check(GeoHeaders::Fastly, &[("x-geo-country-code", "US-VA")], None, false);
    }

    #[test]
    fn a_continent_is_read_by_its_code() {
        let viewer = GeoHeaders::Cloudflare.viewer(|name| (name == "cf-ipcontinent").then_some("EU"));
        assert_eq!(viewer.continent, Some(Continent::Europe));
    }
}
