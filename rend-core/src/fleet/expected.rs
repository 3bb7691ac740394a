//! The edges that are meant to exist, as an operator wrote them down.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::EdgeId;
use crate::url::{BadUrl, BaseUrl};

/// The edges that may register: `id=region=public_url[=private_url]`, with commas between.
///
/// No two have one id or one public URL. An empty text is an empty list, which expects nothing and so refuses nobody.
///
/// ```
/// use rend_core::fleet::ExpectedEdges;
///
/// let text = "ash-1=us-east=https://ash-1.example.com,ams-1=amsterdam=https://ams-1.example.com=http://10.0.0.2:4110";
/// let edges: ExpectedEdges = text.parse()?;
/// assert_eq!(edges.iter().map(|e| e.region.as_str()).collect::<Vec<_>>(), ["us-east", "amsterdam"]);
/// assert_eq!(edges.to_string(), text);
/// # Ok::<(), rend_core::fleet::BadExpectedEdges>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExpectedEdges(Vec<ExpectedEdge>);

/// One edge that is meant to exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExpectedEdge {
    /// Its name.
    pub id: EdgeId,
    /// Its region.
    pub region: Region,
    /// Where viewers reach it.
    pub public_url: BaseUrl,
    /// Where the control plane reaches it, if that is written down.
    pub private_url: Option<BaseUrl>,
}

/// Edges that a list may have.
pub const EXPECTED_EDGES_MAX: usize = 1024;

impl ExpectedEdges {
    /// The edges in the order they were written.
    pub fn iter(&self) -> std::slice::Iter<'_, ExpectedEdge> {
        self.0.iter()
    }

    /// Whether nothing is expected, and so everyone may register.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are expected.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The entry named `id`.
    pub fn get(&self, id: &EdgeId) -> Option<&ExpectedEdge> {
        self.0.iter().find(|edge| edge.id == *id)
    }

    /// Whether an edge that says this of itself is the one that was meant.
    ///
    /// # Errors
    ///
    /// [`Stranger`] with the first thing that differs. Trying again helps only after one side is changed.
    pub fn admit(
        &self,
        id: &EdgeId,
        region: &str,
        public_url: &BaseUrl,
        private_url: Option<&BaseUrl>,
    ) -> Result<(), Stranger> {
        if self.is_empty() {
            return Ok(());
        }
        let entry = self.get(id).ok_or(Stranger::Id)?;
        if entry.region.as_str() != region {
            return Err(Stranger::Region);
        }
        if entry.public_url != *public_url {
            return Err(Stranger::PublicUrl);
        }
        match (&entry.private_url, private_url) {
            (Some(meant), Some(said)) if meant != said => Err(Stranger::PrivateUrl),
            _ => Ok(()),
        }
    }
}

impl<'a> IntoIterator for &'a ExpectedEdges {
    type Item = &'a ExpectedEdge;
    type IntoIter = std::slice::Iter<'a, ExpectedEdge>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ExpectedEdges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, edge) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}={}={}", edge.id, edge.region, edge.public_url)?;
            if let Some(private) = &edge.private_url {
                write!(f, "={private}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for ExpectedEdges {
    type Err = BadExpectedEdges;

    fn from_str(text: &str) -> Result<Self, BadExpectedEdges> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut edges = Vec::new();
        let (mut ids, mut urls) = (BTreeSet::new(), BTreeSet::new());
        for (index, entry) in text.split(',').enumerate() {
            let at = |what| BadExpectedEdges { entry: index + 1, what };
            if index >= EXPECTED_EDGES_MAX {
                return Err(at(BadEntry::TooMany));
            }
            let edge = entry_of(entry.trim()).map_err(at)?;
            if !ids.insert(edge.id.clone()) {
                return Err(at(BadEntry::SameId));
            }
            if !urls.insert(edge.public_url.clone()) {
                return Err(at(BadEntry::SameUrl));
            }
            edges.push(edge);
        }
        Ok(Self(edges))
    }
}

/// The name of a region: 1 to 63 characters of `a-z`, `0-9` and `-`, not starting or ending with `-`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Region(Box<str>);

impl Region {
    /// The name as text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Region {
    type Err = BadRegion;

    fn from_str(text: &str) -> Result<Self, BadRegion> {
        // The grammar is that of an edge id, so that either can stand in a host name or a metric label.
        text.parse::<EdgeId>().map(|_| Self(text.into())).map_err(|_| BadRegion)
    }
}

/// The text names no region. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a region of 1 to 63 characters a-z, 0-9 and -")]
pub struct BadRegion;

/// A list of expected edges that cannot be read. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("entry {entry}: {what}")]
pub struct BadExpectedEdges {
    /// Which entry, from 1.
    pub entry: usize,
    /// What is wrong with it.
    pub what: BadEntry,
}

/// What is wrong with one entry.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadEntry {
    /// It has not three or four parts.
    #[error("expected id=region=public_url or id=region=public_url=private_url")]
    Parts,
    /// The first part is no edge id.
    #[error("its id is not 1 to 63 characters a-z, 0-9 and -")]
    Id,
    /// The second part is no region.
    #[error("its region is not 1 to 63 characters a-z, 0-9 and -")]
    Region,
    /// The third part is no base URL.
    #[error("its public URL is not usable: {0}")]
    PublicUrl(BadUrl),
    /// The fourth part is no base URL.
    #[error("its private URL is not usable: {0}")]
    PrivateUrl(BadUrl),
    /// An earlier entry has this id.
    #[error("its id stands in an earlier entry")]
    SameId,
    /// An earlier entry has this public URL.
    #[error("its public URL stands in an earlier entry")]
    SameUrl,
    /// There are more than [`EXPECTED_EDGES_MAX`] entries.
    #[error("the list has more than 1024 entries")]
    TooMany,
}

/// How an edge differs from what was written down.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Stranger {
    /// Nobody expects an edge of that id.
    #[error("no edge of that id is expected")]
    Id,
    /// It is expected in another region.
    #[error("it is expected in another region")]
    Region,
    /// It is expected at another public URL.
    #[error("it is expected at another public URL")]
    PublicUrl,
    /// It is expected at another private URL.
    #[error("it is expected at another private URL")]
    PrivateUrl,
}

fn entry_of(entry: &str) -> Result<ExpectedEdge, BadEntry> {
    let parts: Vec<&str> = entry.split('=').map(str::trim).collect();
    let (id, region, public, private) = match parts[..] {
        [id, region, public] => (id, region, public, None),
        [id, region, public, private] => (id, region, public, Some(private)),
        _ => return Err(BadEntry::Parts),
    };
    Ok(ExpectedEdge {
        id: id.parse().map_err(|_| BadEntry::Id)?,
        region: region.parse().map_err(|_| BadEntry::Region)?,
        public_url: public.parse().map_err(BadEntry::PublicUrl)?,
        private_url: private.map(|url| url.parse().map_err(BadEntry::PrivateUrl)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<usize, (usize, BadEntry)>) {
        let found = text.parse::<ExpectedEdges>().map(|e| e.len()).map_err(|e| (e.entry, e.what));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn a_list_reads_or_names_the_entry_that_does_not() {
        check("", Ok(0));
        check("a=r=http://h", Ok(1));
        check(" a=r=http://h , b=r=http://i=http://j ", Ok(2));
        check("a=r", Err((1, BadEntry::Parts)));
        check("a=r=http://h,", Err((2, BadEntry::Parts)));
        check("a=r=http://h=http://i=x", Err((1, BadEntry::Parts)));
        check("A=r=http://h", Err((1, BadEntry::Id)));
        check("a=R=http://h", Err((1, BadEntry::Region)));
        check("a=r=h", Err((1, BadEntry::PublicUrl(BadUrl::Scheme))));
        check("a=r=http://u:p@h", Err((1, BadEntry::PublicUrl(BadUrl::Credentials))));
        check("a=r=http://h=i", Err((1, BadEntry::PrivateUrl(BadUrl::Scheme))));
        check("a=r=http://h,a=r=http://i", Err((2, BadEntry::SameId)));
        check("a=r=http://h,b=r=http://h:80/", Err((2, BadEntry::SameUrl)));
    }

    #[test]
    fn a_list_has_a_bound() {
        let list = |n: usize| (0..n).map(|i| format!("e{i}=r=http://h{i}")).collect::<Vec<_>>().join(",");
        check(&list(EXPECTED_EDGES_MAX), Ok(EXPECTED_EDGES_MAX));
        check(&list(EXPECTED_EDGES_MAX + 1), Err((EXPECTED_EDGES_MAX + 1, BadEntry::TooMany)));
    }

    #[test]
    fn a_stranger_is_told_what_differs() {
        let edges: ExpectedEdges = "a=r=https://h=http://10.0.0.1:4110,b=s=https://i".parse().unwrap();
        let admit = |id: &str, region, public: &str, private: Option<&str>| {
            let private = private.map(|p| p.parse().unwrap());
            edges.admit(&id.parse().unwrap(), region, &public.parse().unwrap(), private.as_ref())
        };
        assert_eq!(admit("a", "r", "https://h/", Some("http://10.0.0.1:4110")), Ok(()));
        assert_eq!(admit("a", "r", "https://h", None), Ok(()));
        assert_eq!(admit("b", "s", "https://i", Some("http://10.0.0.9:1")), Ok(()));
        assert_eq!(admit("c", "r", "https://h", None), Err(Stranger::Id));
        assert_eq!(admit("a", "s", "https://h", None), Err(Stranger::Region));
        assert_eq!(admit("a", "r", "http://h", None), Err(Stranger::PublicUrl));
        assert_eq!(admit("a", "r", "https://h", Some("http://10.0.0.2:4110")), Err(Stranger::PrivateUrl));
    }

    #[test]
    fn an_empty_list_refuses_nobody() {
        let url = "http://h".parse().unwrap();
        assert_eq!(ExpectedEdges::default().admit(&"a".parse().unwrap(), "r", &url, None), Ok(()));
    }

    proptest! {
        #[test]
        fn what_reads_prints_and_reads_back(text in "([a-c]{1,2}=r[0-9]=https?://[a-z]{1,3}(:[0-9]{2})?(=http://[a-z])?,?){0,3}") {
            if let Ok(edges) = text.parse::<ExpectedEdges>() {
                prop_assert_eq!(edges.to_string().parse::<ExpectedEdges>(), Ok(edges));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<ExpectedEdges>();
        }
    }
}
