//! Every route as data: what the `Allow` header, the OpenAPI document and the tests of all routes are made from.
//!
//! [`crate::routes`] puts the handlers together; a test holds the two to each other.

mod document;
mod params;
mod private;
mod public;
mod schemas;

use rend_core::credential::Scope;

pub use document::{components, document};
pub use private::PRIVATE;
pub use public::PUBLIC;

/// One method at one path.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method. One that reads answers `HEAD` too.
    pub verb: Verb,
    /// The path, with each parameter in braces.
    pub path: &'static str,
    /// Who may call it.
    pub opens: Opens,
    /// What it does, in a few words.
    pub says: &'static str,
    /// What may stand in its query or headers.
    pub takes: &'static [Param],
    /// What its body is.
    pub body: Body,
    /// What it answers when all is well: status and schema.
    pub answers: &'static [(u16, Shape)],
}

/// A method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `HEAD` alone.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`, where it says more than what a browser asks before a request from elsewhere.
    Options,
}

impl Verb {
    /// The method's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opens {
    /// Anybody.
    Anybody,
    /// Whoever may see the page, the video or nothing at all: the handler judges by more than a key.
    Viewer,
    /// A key with this scope.
    Scope(Scope),
    /// An edge, by `REND_EDGE_INTERNAL_TOKEN`.
    Edge,
    /// An edge that delivers telemetry, by `REND_INTERNAL_TELEMETRY_TOKEN`.
    Telemetry,
    /// An operator, by `REND_OPERATOR_TOKEN`.
    Operator,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// There is none.
    None,
    /// The bytes of a video file.
    Bytes,
    /// JSON of this schema.
    Json(&'static str),
    /// JSON of this schema, or nothing at all.
    MayBeJson(&'static str),
}

/// What an answer's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// There is none.
    None,
    /// JSON of this schema.
    Json(&'static str),
    /// A page of things of this schema.
    Page(&'static str),
    /// Something else, of this media type.
    Other(&'static str),
    /// A refusal that callers have a reason to tell from others, which every route may answer: what it is about.
    Refusal(&'static str),
}

/// What may stand in a query or a header.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Whether it stands in a header.
    pub in_header: bool,
    /// What it is.
    pub kind: Kind,
    /// What it means.
    pub says: &'static str,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Some characters, at least one.
    Text {
        /// How many at most.
        chars_max: u32,
    },
    /// Some characters, or none.
    TextOrNone {
        /// How many at most.
        chars_max: u32,
    },
    /// Some visible ASCII characters, at least one.
    Visible {
        /// How many at most.
        chars_max: u32,
    },
    /// One of these.
    Words(&'static [&'static str]),
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// An identifier.
    Uuid,
}

impl Route {
    const fn new(verb: Verb, path: &'static str, opens: Opens, says: &'static str) -> Self {
        Self { verb, path, opens, says, takes: &[], body: Body::None, answers: &[(200, Shape::None)] }
    }

    const fn takes(mut self, takes: &'static [Param]) -> Self {
        self.takes = takes;
        self
    }

    const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    const fn answers(mut self, answers: &'static [(u16, Shape)]) -> Self {
        self.answers = answers;
        self
    }

    /// Whether `path` is one of this route's.
    pub fn is_at(&self, path: &str) -> bool {
        let mut pattern = self.path.split('/');
        let mut parts = path.split('/');
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(known), Some(part)) if known.starts_with('{') && !part.is_empty() => {}
                (Some(known), Some(part)) if known == part => {}
                (Some(_) | None, Some(_) | None) => return false,
            }
        }
    }
}

/// The methods that `path` takes among `routes`, as the `Allow` header lists them.
pub fn allowed(routes: &[Route], path: &str) -> String {
    let mut methods = Vec::new();
    for route in routes.iter().filter(|route| route.is_at(path)) {
        methods.push(route.verb.as_str());
        if route.verb == Verb::Get {
            methods.push("HEAD");
        }
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: &str) {
        assert_eq!(allowed(PUBLIC, path), expect, "{path}");
    }

    #[test]
    fn a_path_takes_the_methods_of_all_its_routes() {
        check("/v1/assets/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4", "DELETE, GET, HEAD, PATCH");
        check("/v1/keys", "GET, HEAD, POST");
        check("/v1/videos", "POST");
        check("/v1/assets/", "");
        check("/v1/assets/x/y", "");
        check("/", "GET, HEAD");
    }

    #[test]
    fn no_route_is_listed_twice() {
        for table in [PUBLIC, PRIVATE] {
            for (at, route) in table.iter().enumerate() {
                assert!(!table[..at].iter().any(|r| r.path == route.path && r.verb == route.verb), "{}", route.path);
            }
        }
    }
}
