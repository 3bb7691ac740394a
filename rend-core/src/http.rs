//! Requests and responses as values.
//!
//! A decider that wants something asked of another machine returns a [`Request`]; a rim sends it and hands the
//! [`Response`] back. This is not a client: nothing here opens a connection.

use bytes::Bytes;

/// What to do at a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the head only.
    Head,
    /// Send.
    Post,
    /// Remove.
    Delete,
}

/// A request to be sent by a rim.
///
/// It has no `Debug`, since its headers may carry a credential.
#[expect(missing_debug_implementations, reason = "headers may carry a credential")]
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// The absolute URL.
    pub url: String,
    /// Name and value, in order; names are lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body, empty for none.
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, cut at the rim's bound.
    pub body: Bytes,
}

impl Response {
    /// Whether the status is 200 to 299.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}
