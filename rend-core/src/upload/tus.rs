//! The headers of tus 1.0, and what a request for a piece is answered.
//!
//! What HTTP carries is text; here it becomes values, and a value and a [`Transfer`] become a verdict. Statuses are the
//! service's business.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use thiserror::Error;

use super::UploadState;
use super::transfer::{NOTE_BYTES_MAX, Transfer};
use crate::time::Timestamp;

/// The version of the protocol.
pub const VERSION: &str = "1.0.0";
/// The extensions that are spoken, as the protocol lists them.
pub const EXTENSIONS: &str = "creation,creation-with-upload,expiration,checksum,termination";
/// The digests that a piece may carry, as the protocol lists them.
pub const ALGORITHMS: &str = "sha256,sha1";
/// Words that a sender may say of its file.
pub const PAIRS_MAX: usize = 32;

/// What a sender says of its file: keys with values, in the order it gave them.
///
/// Holding one proves that keys are unique, visible and not empty, and that values are UTF-8.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metadata(Vec<(String, String)>);

impl Metadata {
    /// The pairs, or why they cannot be metadata.
    ///
    /// # Errors
    ///
    /// [`BadHeader`].
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, BadHeader> {
        if pairs.len() > PAIRS_MAX {
            return Err(BadHeader::Metadata("at most 32 keys"));
        }
        for (n, (key, _)) in pairs.iter().enumerate() {
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
                return Err(BadHeader::Metadata("keys of visible ASCII characters without commas"));
            }
            if pairs[..n].iter().any(|(other, _)| other == key) {
                return Err(BadHeader::Metadata("each key once"));
            }
        }
        Ok(Self(pairs))
    }

    /// Reads an `Upload-Metadata` header: `key base64,key base64,key`. A key alone has an empty value.
    ///
    /// # Errors
    ///
    /// [`BadHeader`].
    pub fn parse(header: &str) -> Result<Self, BadHeader> {
        if header.len() > NOTE_BYTES_MAX {
            return Err(BadHeader::Metadata("at most 4096 bytes"));
        }
        if header.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // Counted before anything is kept, so that a long list costs nothing.
        if header.split(',').count() > PAIRS_MAX {
            return Err(BadHeader::Metadata("at most 32 keys"));
        }
        let pair = |text: &str| {
            let text = text.trim_ascii();
            let (key, value) = text.split_once(' ').unwrap_or((text, ""));
            let value = LENIENT.decode(value.trim_ascii()).map_err(|_| BadHeader::Metadata("values in base64"))?;
            let value = String::from_utf8(value).map_err(|_| BadHeader::Metadata("values that are UTF-8"))?;
            Ok((key.to_owned(), value))
        };
        Self::new(header.split(',').map(pair).collect::<Result<_, _>>()?)
    }

    /// The header that says the same.
    pub fn to_header(&self) -> String {
        let pair = |(key, value): &(String, String)| match value.as_str() {
            "" => key.clone(),
            value => format!("{key} {}", BASE64_STANDARD.encode(value)),
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join(",")
    }

    /// The value of `key`, unless it is empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// What to call the video: its title, or else the name of the file, which clients spell in two ways.
    pub fn title(&self) -> Option<&str> {
        ["title", "filename", "name"].into_iter().find_map(|key| self.get(key))
    }
}

/// Padding may be missing: some clients leave it away.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a piece must hash to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checksum {
    /// By which function.
    pub algorithm: Algorithm,
    /// The digest, as long as the function's.
    pub digest: Vec<u8>,
}

/// A function that a piece is hashed by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// SHA-1, which every tus client knows. It guards against accidents only.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// Its name in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// Bytes of its digests.
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl Checksum {
    /// Reads an `Upload-Checksum` header: `sha256 base64`.
    ///
    /// # Errors
    ///
    /// [`BadHeader`].
    pub fn parse(header: &str) -> Result<Self, BadHeader> {
        let bad = BadHeader::Checksum;
        let (name, digest) = header.trim_ascii().split_once(' ').ok_or(bad)?;
        let algorithm = match name {
            "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            _ => return Err(bad),
        };
        if digest.len() > 64 {
            return Err(bad);
        }
        let digest = LENIENT.decode(digest.trim_ascii()).map_err(|_| bad)?;
        if digest.len() == algorithm.digest_bytes() { Ok(Self { algorithm, digest }) } else { Err(bad) }
    }

    /// The header that says the same.
    pub fn to_header(&self) -> String {
        format!("{} {}", self.algorithm.as_str(), BASE64_STANDARD.encode(&self.digest))
    }
}

/// Reads a header that is a number of bytes: digits alone.
///
/// # Errors
///
/// [`BadHeader::Number`].
pub fn number(header: &str) -> Result<u64, BadHeader> {
    let digits = header.bytes().all(|b| b.is_ascii_digit());
    header.parse().ok().filter(|_| digits).ok_or(BadHeader::Number)
}

/// A header does not say what it should. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadHeader {
    /// `Upload-Metadata`.
    #[error("pairs such as `title aGVsbG8=` with commas between: {0}")]
    Metadata(&'static str),
    /// `Upload-Checksum`.
    #[error("`sha256` or `sha1`, a space, and the digest in base64")]
    Checksum,
    /// A number of bytes.
    #[error("a number of bytes in digits")]
    Number,
}

/// A request to add a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Where the sender believes that it begins.
    pub offset: u64,
    /// Its announced length, if announced.
    pub bytes: Option<u64>,
}

/// What a request to add a piece is answered before its body is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may come, with at most so many bytes.
    Take {
        /// The bytes that are missing.
        bytes_max: u64,
    },
    /// Everything is there already, and it adds nothing.
    Whole,
    /// It begins elsewhere than the received bytes end.
    Elsewhere {
        /// Where they end.
        received: u64,
    },
    /// It would go past the announced end.
    TooLong {
        /// The bytes that are missing.
        bytes_max: u64,
    },
    /// The session's time is over, or it was ended.
    Gone,
}

/// Judges a piece for `transfer` at `now`.
pub fn judge(transfer: &Transfer, piece: Piece, now: Timestamp) -> Verdict {
    let expected = transfer.session.bytes_expected.unwrap_or(u64::MAX);
    match transfer.session.state {
        UploadState::Abandoned => return Verdict::Gone,
        // The sender of the last piece may not have heard the answer, and asks again after the original was assembled.
        UploadState::Open if now >= transfer.session.expires_at && !transfer.is_whole() => return Verdict::Gone,
        UploadState::Open | UploadState::Complete => {}
    }
    if piece.offset != transfer.received {
        return Verdict::Elsewhere { received: transfer.received };
    }
    let bytes_max = expected.saturating_sub(transfer.received);
    if piece.bytes.is_some_and(|bytes| bytes > bytes_max) {
        return Verdict::TooLong { bytes_max };
    }
    if bytes_max == 0 { Verdict::Whole } else { Verdict::Take { bytes_max } }
}

/// What must hold for any header, however it came about: what is read can be said again, and reads back the same.
#[doc(hidden)]
pub fn headers_read_back(header: &str) {
    if let Ok(metadata) = Metadata::parse(header) {
        assert!(metadata.0.len() <= PAIRS_MAX);
        let again = metadata.to_header();
        // Padding may have been added.
        if again.len() <= NOTE_BYTES_MAX {
            assert_eq!(Metadata::parse(&again), Ok(metadata));
        }
    }
    if let Ok(checksum) = Checksum::parse(header) {
        assert_eq!(checksum.digest.len(), checksum.algorithm.digest_bytes());
        assert_eq!(Checksum::parse(&checksum.to_header()), Ok(checksum));
    }
    if let Ok(number) = number(header) {
        assert_eq!(number.to_string(), header.trim_start_matches('0').to_owned() + if number == 0 { "0" } else { "" });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{AssetId, OrgId, UploadId};
    use crate::upload::UploadSession;

    #[track_caller]
    fn check(header: &str, expect: Option<&[(&str, &str)]>) {
        let read = Metadata::parse(header).ok();
        let expect = expect.map(|pairs| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        assert_eq!(read.map(|m| m.0), expect, "{header}");
    }

    #[test]
    fn metadata_is_pairs_of_a_key_and_base64() {
        check("", Some(&[]));
        check("title aGVsbG8=", Some(&[("title", "hello")]));
        check("title aGVsbG8", Some(&[("title", "hello")]));
        check("title aGVsbG8=, policy cHVibGlj ,x", Some(&[("title", "hello"), ("policy", "public"), ("x", "")]));
        check("title", Some(&[("title", "")]));
        check("title aGVsbG8=,title aGVsbG8=", None);
        check(",", None);
        check("title ????", None);
        check("title /w==", None);
        check("ti\u{e4} aGVsbG8=", None);
        check("a b c", None);
        check(&vec!["k"; 33].join(","), None);
        check(&"x".repeat(4097), None);
    }

    #[test]
    fn a_video_is_called_by_its_title_or_else_by_its_file() {
        let title = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Metadata::new(pairs).unwrap().title().map(str::to_owned)
        };
        assert_eq!(title(&[("name", "c"), ("filename", "b"), ("title", "a")]).as_deref(), Some("a"));
        assert_eq!(title(&[("name", "c"), ("filename", "b"), ("title", "")]).as_deref(), Some("b"));
        assert_eq!(title(&[("name", "c")]).as_deref(), Some("c"));
        assert_eq!(title(&[]), None);
    }

    #[test]
    fn a_checksum_is_as_long_as_its_function_says() {
        let (sha1, sha256) =
            ("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=");
        for good in [sha1, sha256] {
            assert_eq!(Checksum::parse(good).unwrap().to_header(), good);
        }
        for bad in
            ["", "sha1", "sha1 ", "md5 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "SHA1 x"]
        {
            assert_eq!(Checksum::parse(bad), Err(BadHeader::Checksum), "{bad}");
        }
    }

    #[test]
    fn a_number_is_digits_alone() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        for bad in ["", "+1", "-1", " 1", "1 ", "1e3", "18446744073709551616"] {
            assert_eq!(number(bad), Err(BadHeader::Number), "{bad}");
        }
    }

    fn transfer(received: u64, state: UploadState) -> Transfer {
        let session = UploadSession {
            id: UploadId::from_bytes([1; 16]),
            asset: AssetId::from_bytes([2; 16]),
            org: OrgId::from_bytes([3; 16]),
            bytes_expected: Some(10),
            state,
            expires_at: Timestamp::from_secs(100),
            created_at: Timestamp::EPOCH,
        };
        Transfer { received, ..Transfer::new(session, String::new(), None) }
    }

    #[track_caller]
    fn judged(received: u64, state: UploadState, (offset, bytes): (u64, Option<u64>), now: u64, expect: Verdict) {
        let verdict = judge(&transfer(received, state), Piece { offset, bytes }, Timestamp::from_secs(now));
        assert_eq!(verdict, expect, "{received} {state} {offset} {bytes:?} {now}");
    }

    #[test]
    fn a_piece_is_taken_where_the_received_bytes_end() {
        use UploadState::{Abandoned, Complete, Open};
        judged(0, Open, (0, Some(10)), 0, Verdict::Take { bytes_max: 10 });
        judged(4, Open, (4, None), 0, Verdict::Take { bytes_max: 6 });
        judged(4, Open, (4, Some(6)), 99, Verdict::Take { bytes_max: 6 });
        judged(4, Open, (4, Some(7)), 0, Verdict::TooLong { bytes_max: 6 });
        judged(4, Open, (3, Some(1)), 0, Verdict::Elsewhere { received: 4 });
        judged(4, Open, (5, Some(1)), 0, Verdict::Elsewhere { received: 4 });
        judged(4, Open, (4, Some(1)), 100, Verdict::Gone);
        judged(4, Abandoned, (4, Some(1)), 0, Verdict::Gone);
        judged(10, Open, (10, Some(0)), 100, Verdict::Whole);
        judged(10, Complete, (10, None), 999, Verdict::Whole);
        judged(10, Complete, (4, Some(1)), 0, Verdict::Elsewhere { received: 10 });
        judged(10, Complete, (10, Some(1)), 0, Verdict::TooLong { bytes_max: 0 });
    }

    proptest! {
        #[test]
        fn headers_read_back_whatever_they_say(header in ".{0,200}") {
            headers_read_back(&header);
        }

        #[test]
        fn metadata_reads_back(pairs in prop::collection::btree_map("[!-+\\--~]{1,12}", ".{0,20}", 0..8)) {
            let metadata = Metadata::new(pairs.into_iter().collect()).unwrap();
            prop_assert_eq!(Metadata::parse(&metadata.to_header()), Ok(metadata.clone()));
            headers_read_back(&metadata.to_header());
        }
    }
}
