//! One request of the common kind, read where it lies: no map, no copy.
//!
//! What is not of this kind is no error: it is for hyper, which knows the rest of HTTP.

use std::mem::MaybeUninit;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Uri};
use httparse::{Header, ParserConfig, Status};

/// A request of HTTP/1.1 without a body, for something below `/v/`.
pub(crate) struct Plain<'b, 'h> {
    /// `GET`, `HEAD` or `OPTIONS`.
    pub(crate) method: Method,
    /// Begins with `/v/`.
    pub(crate) path: &'b str,
    pub(crate) query: Option<&'b str>,
    /// Whether the client wants the connection closed behind the answer.
    pub(crate) close: bool,
    /// Whether it asks for a part, or only for what it has not.
    pub(crate) conditional: bool,
    /// Bytes that its head takes.
    pub(crate) len: usize,
    fields: &'h [Header<'b>],
}

/// What bytes begin with.
pub(crate) enum Begins<'b, 'h> {
    /// A request that can be answered here.
    Plain(Plain<'b, 'h>),
    /// A part of a head.
    Part,
    /// Something else.
    Other,
}

/// The header fields of a request, in whatever form it was read.
pub(crate) trait Fields {
    /// The values of `name`, in their order.
    fn each<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;

    /// The first of them.
    fn first<'a>(&'a self, name: &'a HeaderName) -> Option<&'a [u8]> {
        self.each(name).next()
    }
}

impl Fields for HeaderMap {
    fn each<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

impl Fields for Plain<'_, '_> {
    fn each<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(|field| is(field, name)).map(|field| field.value)
    }
}

/// Room for the header fields of a request.
pub(crate) type Room<'b> = [MaybeUninit<Header<'b>>; FIELDS_MAX];

/// Room for a request's fields.
pub(crate) const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

impl<'b, 'h> Plain<'b, 'h> {
    /// Looks at what `bytes` begin with.
    pub(crate) fn read(bytes: &'b [u8], room: &'h mut Room<'b>) -> Begins<'b, 'h> {
        let mut request = httparse::Request::new(&mut []);
        // As hyper reads it: with httparse's defaults.
        let len = match ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, room) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Begins::Part,
            Ok(Status::Partial) | Err(_) => return Begins::Other,
        };
        let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
            return Begins::Other;
        };
        let method = match method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "OPTIONS" => Method::OPTIONS,
            _ => return Begins::Other,
        };
        if !target.starts_with("/v/") || !target.bytes().all(is_usual) {
            return Begins::Other;
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let fields: &'h [Header<'b>] = request.headers;
        let mut plain = Self { method, path, query, close: false, conditional: false, len, fields };
        for field in fields {
            if FOREIGN.iter().any(|name| is(field, name)) {
                return Begins::Other;
            }
            plain.conditional |= CONDITIONS.iter().any(|name| is(field, name));
            if is(field, &header::CONNECTION) {
                match field.value {
                    value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                    value if value.eq_ignore_ascii_case(b"close") => plain.close = true,
                    _ => return Begins::Other,
                }
            }
        }
        Begins::Plain(plain)
    }

    /// The same as everybody else takes it; `None` when it says what that form can not.
    pub(crate) fn parts(&self) -> Option<Parts> {
        let target = match self.query {
            None => self.path.to_owned(),
            Some(query) => format!("{}?{query}", self.path),
        };
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for field in self.fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::try_from(target).ok()?;
        *request.headers_mut() = headers;
        Some(request.into_parts().0)
    }
}

fn is(field: &Header<'_>, name: &HeaderName) -> bool {
    let name = name.as_str();
    field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name)
}

/// Bytes that stand in the targets of playback requests and mean themselves. What holds others is judged by hyper.
const fn is_usual(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~' | b'?' | b'=' | b'&' | b'%' | b'+')
}

/// A head that has more is for hyper, which has a bound of its own.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// The same of its fields.
const FIELDS_MAX: usize = 64;
/// What announces a body, another protocol or a conversation.
const FOREIGN: [HeaderName; 5] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT, header::UPGRADE, header::TRAILER];
/// What makes an answer other than the whole body.
const CONDITIONS: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &str, expect: Option<(&str, Option<&str>, bool, bool)>) {
        let mut room = room();
        let seen = match Plain::read(bytes.as_bytes(), &mut room) {
            Begins::Plain(plain) => Some((plain.path, plain.query, plain.close, plain.conditional)),
            Begins::Part => panic!("a part: {bytes}"),
            Begins::Other => None,
        };
        assert_eq!(seen, expect, "{bytes}");
    }

    #[test]
    fn a_plain_request_says_what_it_asks_for() {
        check("GET /v/a/b HTTP/1.1\r\nhost: a\r\n\r\n", Some(("/v/a/b", None, false, false)));
        check(
            "HEAD /v/a?token=x.y-z HTTP/1.1\r\nConnection: Close\r\n\r\n",
            Some(("/v/a", Some("token=x.y-z"), true, false)),
        );
        check("OPTIONS /v/~t/b HTTP/1.1\r\nconnection: keep-alive\r\n\r\n", Some(("/v/~t/b", None, false, false)));
        check("GET /v/a HTTP/1.1\r\nRANGE: bytes=0-\r\n\r\n", Some(("/v/a", None, false, true)));
        check("GET /v/a HTTP/1.1\r\nif-none-match: *\r\n\r\nGET", Some(("/v/a", None, false, true)));
    }

    #[test]
    fn everything_else_is_left_to_who_knows_it() {
        for bytes in [
            "GET /healthz HTTP/1.1\r\n\r\n",
            "GET /v HTTP/1.1\r\n\r\n",
            "GET http://edge/v/a HTTP/1.1\r\n\r\n",
            "GET /v/a HTTP/1.0\r\n\r\n",
            "POST /v/a HTTP/1.1\r\n\r\n",
            "GET /v/a#b HTTP/1.1\r\n\r\n",
            "GET /v/a\"b HTTP/1.1\r\n\r\n",
            "GET /v/a HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "GET /v/a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nexpect: 100-continue\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nconnection: close, x\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nbad name: x\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            check(bytes, None);
        }
    }

    #[test]
    fn a_head_that_is_longer_than_the_bound_is_left_to_who_knows_a_larger_one() {
        let long = |len: usize| format!("GET /v/a HTTP/1.1\r\nx: {}", "x".repeat(len));
        assert!(matches!(Plain::read(long(1000).as_bytes(), &mut room()), Begins::Part));
        assert!(matches!(Plain::read(long(HEAD_BYTES_MAX).as_bytes(), &mut room()), Begins::Other));
        let many = format!("GET /v/a HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(FIELDS_MAX + 1));
        check(&many, None);
    }

    /// A head that is nearly right, so that every branch is met.
    fn heads() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec![
            "GET /v/a/b HTTP/1.1\r\n",
            "GET /v/a?token=b HTTP/1.1\n",
            "HEAD /v/ HTTP/1.1\r\n",
            "\r\nGET /v/x HTTP/1.1\r\n",
            "GET /v/a HTTP/1.0\r\n",
            "GET  /v/a HTTP/1.1\r\n",
            "PUT /v/a HTTP/1.1\r\n",
        ]);
        let field = prop::sample::select(vec![
            "host: a\r\n",
            "Cookie: rend_pb=x; a=b\r\n",
            "content-length: 3\r\n",
            "Transfer-Encoding : chunked\r\n",
            "range: bytes=1-2\r\n",
            "connection: close\r\n",
            "connection: x\r\n",
            " folded\r\n",
            "x:\u{1}\r\n",
            "y: \u{e4}\r\n",
            "origin:\n",
        ]);
        let fields = prop::collection::vec(field, 0..6);
        let tail = prop::collection::vec(any::<u8>(), 0..8);
        (line, fields, any::<bool>(), tail).prop_map(|(line, fields, ends, tail)| {
            let mut head = line.as_bytes().to_vec();
            fields.iter().for_each(|field| head.extend_from_slice(field.as_bytes()));
            head.extend_from_slice(if ends { b"\r\n" } else { b"" });
            head.extend(tail);
            head
        })
    }

    proptest! {
        #[test]
        fn what_is_read_here_is_what_a_whole_reader_reads(bytes in heads()) {
            let mut room = room();
            if let Begins::Plain(plain) = Plain::read(&bytes, &mut room) {
                let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
                let mut whole = httparse::Request::new(&mut fields);
                prop_assert_eq!(whole.parse(&bytes).unwrap(), Status::Complete(plain.len));
                let target = whole.path.unwrap();
                let uri: Uri = target.parse().unwrap();
                prop_assert_eq!((uri.path(), uri.query()), (plain.path, plain.query));
                prop_assert_eq!(whole.method, Some(plain.method.as_str()));
                for name in FOREIGN {
                    prop_assert!(plain.first(&name).is_none());
                }
                let parts = plain.parts().unwrap();
                for name in [header::COOKIE, header::RANGE, header::HOST] {
                    prop_assert!(parts.headers.each(&name).eq(plain.each(&name)));
                }
            }
        }

        #[test]
        fn a_head_that_comes_in_pieces_is_read_as_if_it_came_at_once(bytes in heads(), cut in 0..80_usize) {
            let mut one = room();
            let Begins::Plain(whole) = Plain::read(&bytes, &mut one) else { return Ok(()) };
            let cut = cut.min(bytes.len());
            let mut two = room();
            match Plain::read(&bytes[..cut], &mut two) {
                Begins::Plain(part) => prop_assert!(cut >= whole.len && part.len == whole.len),
                Begins::Part => prop_assert!(cut < whole.len),
                Begins::Other => prop_assert!(false, "a part of a good head is not another thing"),
            }
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut room = room();
            if let Begins::Plain(plain) = Plain::read(&bytes, &mut room) {
                prop_assert!(plain.len <= bytes.len());
            }
        }
    }
}
