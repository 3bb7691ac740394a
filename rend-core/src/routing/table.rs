//! The edges that viewers can be sent to, and what is known of where they stand.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::geo::Coordinates;
use crate::asset::{UnknownWord, named};
use crate::fleet::{EdgeRow, ExpectedEdges};
use crate::id::EdgeId;
use crate::url::BaseUrl;

/// One edge that viewers can be sent to.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The edge.
    pub id: EdgeId,
    /// Its region.
    pub region: String,
    /// Where viewers reach it.
    pub public_url: BaseUrl,
    /// Where it stands, if that is known.
    pub at: Option<Coordinates>,
    /// The countries, or parts of them, that it is for.
    pub countries: Vec<Place>,
    /// The continents that it is for.
    pub continents: Vec<Continent>,
    /// Which goes first of two that are equally good: the lower.
    pub priority: u32,
    /// How much it can carry beside its neighbours, from 1.
    pub weight: u32,
}

/// Every edge that viewers can be sent to; at least one, in the order of priority, then id.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTable(Vec<Route>);

/// Edges that a table may have.
pub const ROUTES_MAX: usize = 1024;

impl RouteTable {
    /// The table of `routes`.
    ///
    /// # Errors
    ///
    /// [`BadTable`] when it is empty, too long, or two routes have one id.
    pub fn new(mut routes: Vec<Route>) -> Result<Self, BadTable> {
        if routes.is_empty() {
            return Err(BadTable::Empty);
        }
        if routes.len() > ROUTES_MAX {
            return Err(BadTable::TooLong);
        }
        routes.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
        let mut ids: Vec<_> = routes.iter().map(|route| &route.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(BadTable::SameId);
        }
        Ok(Self(routes))
    }

    /// The table of the edges that registered. Rows whose URL is none are left out.
    ///
    /// # Errors
    ///
    /// [`BadTable`] as for [`RouteTable::new`].
    pub fn of_fleet(rows: &[EdgeRow]) -> Result<Self, BadTable> {
        let route = |row: &EdgeRow| Some(in_region(row.id.clone(), &row.region, row.public_url.parse().ok()?));
        Self::new(rows.iter().filter_map(route).collect())
    }

    /// The table of edges that an operator wrote down.
    ///
    /// # Errors
    ///
    /// [`BadTable`] as for [`RouteTable::new`].
    pub fn of_expected(edges: &ExpectedEdges) -> Result<Self, BadTable> {
        Self::new(edges.iter().map(|e| in_region(e.id.clone(), e.region.as_str(), e.public_url.clone())).collect())
    }

    /// The routes in the order of priority, then id.
    pub fn routes(&self) -> &[Route] {
        &self.0
    }

    /// The route of an edge.
    pub fn get(&self, id: &EdgeId) -> Option<&Route> {
        self.0.iter().find(|route| route.id == *id)
    }
}

/// The route of an edge that stands in `region`, with what [`SITES`] knows of that.
pub fn in_region(id: EdgeId, region: &str, public_url: BaseUrl) -> Route {
    let site = SITES.iter().find(|site| site.region == region);
    Route {
        id,
        region: region.to_owned(),
        public_url,
        at: site.and_then(|site| Coordinates::new(site.latitude_deg, site.longitude_deg)),
        countries: site.map_or(&[][..], |site| site.countries).iter().filter_map(|c| c.parse().ok()).collect(),
        continents: site.map_or_else(Vec::new, |site| site.continents.to_vec()),
        priority: site.map_or(u32::MAX, |site| site.priority),
        weight: 1,
    }
}

/// What is known of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    /// Its name.
    pub region: &'static str,
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east.
    pub longitude_deg: f64,
    /// The countries it is for.
    pub countries: &'static [&'static str],
    /// The continents it is for.
    pub continents: &'static [Continent],
    /// Its place among sites that are equally good.
    pub priority: u32,
}

/// The regions whose places are known. An edge in another region is found by hashing and as a default only.
pub const SITES: &[Site] = &[
    Site {
        region: "us-east",
        latitude_deg: 39.0438,
        longitude_deg: -77.4874,
        countries: &["US", "CA", "MX"],
        continents: &[Continent::NorthAmerica, Continent::SouthAmerica],
        priority: 10,
    },
    Site {
        region: "amsterdam",
        latitude_deg: 52.3676,
        longitude_deg: 4.9041,
        countries: &["NL", "BE", "DE", "FR", "LU"],
        continents: &[Continent::Europe, Continent::Africa, Continent::Asia, Continent::Oceania],
        priority: 20,
    },
    Site {
        region: "london",
        latitude_deg: 51.5074,
        longitude_deg: -0.1278,
        countries: &["GB", "IE"],
        continents: &[Continent::Europe],
        priority: 30,
    },
];

named! {
    /// A continent. Its code is never compared with a country's: `NA` is Namibia there, `AS` American Samoa.
    Continent {
        /// Africa.
        Africa = "AF",
        /// Antarctica.
        Antarctica = "AN",
        /// Asia.
        Asia = "AS",
        /// Europe.
        Europe = "EU",
        /// North America.
        NorthAmerica = "NA",
        /// Oceania.
        Oceania = "OC",
        /// South America.
        SouthAmerica = "SA",
    }
}

/// A country as ISO 3166-1 writes it, or a part of one as ISO 3166-2 does: `US`, `US-VA`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    country: [u8; 2],
    part: Option<Box<str>>,
}

impl Place {
    /// The country alone.
    #[must_use]
    pub const fn country(&self) -> Self {
        Self { country: self.country, part: None }
    }

    /// Whether a whole country is meant.
    pub const fn is_country(&self) -> bool {
        self.part.is_none()
    }

    /// The part of the country, without the country's code.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.country).unwrap_or("ZZ"))?;
        self.part.as_ref().map_or(Ok(()), |part| write!(f, "-{part}"))
    }
}

impl FromStr for Place {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let (country, part) = text.split_once('-').map_or((text, None), |(country, part)| (country, Some(part)));
        let code: [u8; 2] = country.as_bytes().try_into().map_err(|_| UnknownWord)?;
        let part_fits = part.is_none_or(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        });
        if !code.iter().all(u8::is_ascii_uppercase) || !part_fits {
            return Err(UnknownWord);
        }
        Ok(Self { country: code, part: part.map(Into::into) })
    }
}

/// A table that cannot be used. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadTable {
    /// There is no edge to send anybody to.
    #[error("the route table is empty")]
    Empty,
    /// There are more than [`ROUTES_MAX`].
    #[error("the route table has more than 1024 routes")]
    TooLong,
    /// Two routes have one id.
    #[error("two routes have one id")]
    SameId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_continents_print_and_read_back() {
        for text in ["US", "US-VA", "FR-75", "NA"] {
            assert_eq!(text.parse::<Place>().map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for odd in ["", "us", "USA", "U", "US-", "US-TOOL", "US-va", "ÄÖ"] {
            assert!(odd.parse::<Place>().is_err(), "{odd}");
        }
        assert_eq!("EU".parse(), Ok(Continent::Europe));
    }

    #[test]
    fn every_known_site_is_on_the_globe_and_its_countries_read() {
        for site in SITES {
            assert!(Coordinates::new(site.latitude_deg, site.longitude_deg).is_some(), "{}", site.region);
            assert!(site.countries.iter().all(|c| c.parse::<Place>().is_ok_and(|p| p.is_country())), "{}", site.region);
        }
    }

    #[test]
    fn a_table_is_in_the_order_of_priority_and_has_each_edge_once() {
        let edges = "ams-1=amsterdam=https://a.example,ash-1=us-east=https://b.example,x=mars=https://c.example";
        let table = RouteTable::of_expected(&edges.parse().unwrap()).unwrap();
        assert_eq!(table.routes().iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["ash-1", "ams-1", "x"]);
        assert_eq!(table.routes()[2].at, None);
        assert_eq!(RouteTable::new(vec![]), Err(BadTable::Empty));
        let twice = vec![table.routes()[0].clone(), table.routes()[0].clone()];
        assert_eq!(RouteTable::new(twice), Err(BadTable::SameId));
    }
}
