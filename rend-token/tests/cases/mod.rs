//! The refusals that the vectors publish, worked out from the attacks by name.

use rend_token::testing::{self, ASSET, NOW, bytes_of, mac_anything, text_of};
use rend_token::{Artifact, ArtifactClass, AssetRef, Country, Org, Policy, Reason, Request, RevocationBuf, Rung};
use rend_token::{SessionId, UnixSecs, Use, Verifier};
use serde_json::{Value, json};

/// One token, one request, and why it is refused.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) token: Vec<u8>,
    pub(crate) purpose: Use,
    pub(crate) asset: String,
    pub(crate) class: ArtifactClass,
    pub(crate) rung: Option<u8>,
    pub(crate) path: String,
    pub(crate) now: u32,
    pub(crate) audience: Option<u16>,
    pub(crate) address: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) asset_cutoff: u32,
    pub(crate) org_cutoff: u32,
    pub(crate) ended: bool,
    pub(crate) ttl_secs_max: u32,
    pub(crate) reason: Reason,
}

impl Case {
    fn new(name: impl Into<String>, token: impl Into<Vec<u8>>, reason: Reason) -> Self {
        Self {
            name: name.into(),
            token: token.into(),
            purpose: Use::Playback,
            asset: ASSET.into(),
            class: ArtifactClass::Segment,
            rung: Some(2),
            path: testing::PATH.into(),
            now: NOW.get() + 1,
            audience: None,
            address: None,
            country: None,
            origin: None,
            asset_cutoff: 0,
            org_cutoff: 0,
            ended: false,
            ttl_secs_max: 86_400,
            reason,
        }
    }

    /// The same token in the request that the token with every section is good for.
    fn in_full(mut self) -> Self {
        self.now = NOW.get() + 60;
        self.audience = Some(7);
        self.address = Some("2001:db8:0:aa:1:2:3:4".into());
        self.country = Some("DE".into());
        self.origin = Some("https://www.example.com".into());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// What the verifier says: the reason, or that it was good.
    pub(crate) fn verify(&self) -> Option<Reason> {
        let ring = testing::ring();
        let asset = AssetRef::parse(&self.asset).expect("the asset of a case parses");
        let mut artifact = Artifact::new(self.class, &self.path);
        if let Some(rung) = self.rung.and_then(Rung::new) {
            artifact = artifact.on_rung(rung);
        }
        let mut request = Request::new(&asset, artifact, UnixSecs::new(self.now));
        if let Some(audience) = self.audience {
            request = request.audience(audience);
        }
        if let Some(address) = &self.address {
            request = request.address(address.parse().expect("an address"));
        }
        if let Some(country) = self.country.as_deref().and_then(Country::new) {
            request = request.country(country);
        }
        if let Some(origin) = &self.origin {
            request = request.origin(origin.as_bytes());
        }
        let mut revoked = RevocationBuf::new();
        let room = revoked.revoke_asset(asset.key(), UnixSecs::new(self.asset_cutoff))
            && revoked.revoke_org(Org::new(ORG), UnixSecs::new(self.org_cutoff))
            && (!self.ended || revoked.end_session(SessionId::new(SESSION), NOW));
        assert!(room);
        let verifier = match self.purpose {
            Use::Playback => Verifier::playback(ring),
            Use::Bootstrap => Verifier::bootstrap(ring),
        };
        let verifier = verifier.with_policy(Policy::new().with_ttl_secs_max(self.ttl_secs_max));
        verifier.with_revocation(revoked).verify(&self.token, &request).err().map(|denied| denied.reason())
    }

    /// The case as JSON: what is as in the default request is left out.
    pub(crate) fn json(&self) -> Value {
        let plain = Self::new("", "", self.reason);
        let mut out = json!({"name": self.name, "reason": self.reason.as_str()});
        let first = self.token.first().copied().unwrap_or(b'A');
        out["token"] = match std::str::from_utf8(&self.token) {
            Ok(_) if self.token.len() > 300 && self.token.iter().all(|b| *b == first) => {
                json!({"repeat": char::from(first).to_string(), "count": self.token.len()})
            }
            Ok(text) => json!(text),
            Err(_) => json!({"hex": hex(&self.token)}),
        };
        let mut put = |name: &str, same: bool, value: Value| {
            if !same {
                out[name] = value;
            }
        };
        put("use", self.purpose == plain.purpose, json!(self.purpose.as_str()));
        put("asset", self.asset == plain.asset, json!(self.asset));
        put("class", self.class == plain.class, json!(self.class as u8));
        put("rung", self.rung == plain.rung, json!(self.rung));
        put("path", self.path == plain.path, json!(self.path));
        put("now", self.now == plain.now, json!(self.now));
        put("audience", self.audience.is_none(), json!(self.audience));
        put("address", self.address.is_none(), json!(self.address));
        put("country", self.country.is_none(), json!(self.country));
        put("origin", self.origin.is_none(), json!(self.origin));
        put("asset_cutoff", self.asset_cutoff == 0, json!(self.asset_cutoff));
        put("org_cutoff", self.org_cutoff == 0, json!(self.org_cutoff));
        put("ended_session", !self.ended, json!(hex(&SESSION)));
        put("ttl_secs_max", self.ttl_secs_max == 86_400, json!(self.ttl_secs_max));
        out
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every case, each under a name of its own.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    framing(&mut cases);
    keys(&mut cases);
    claims(&mut cases);
    times(&mut cases);
    scope(&mut cases);
    viewers(&mut cases);
    revocations(&mut cases);
    cases
}

fn framing(cases: &mut Vec<Case>) {
    let body = &DEFAULT[4..];
    let mut put = |name: String, token: Vec<u8>, reason| cases.push(Case::new(name, token, reason));
    let texts: [(&str, String, Reason); 22] = [
        ("A1 nothing", String::new(), Reason::Missing),
        ("A1 prefix alone", "rt1.".into(), Reason::Suite),
        ("A1 prefix without dot", "rt1".into(), Reason::Encoding),
        ("A1 upper-case prefix", format!("RT1.{body}"), Reason::Encoding),
        ("A1 next version's prefix", format!("rt2.{body}"), Reason::Encoding),
        ("A1 leading space", format!(" {DEFAULT}"), Reason::Encoding),
        ("A1 trailing line feed", format!("{DEFAULT}\n"), Reason::Encoding),
        ("A1 two dots", format!("rt1..{body}"), Reason::Encoding),
        ("A1 a third part", format!("{DEFAULT}.x"), Reason::Encoding),
        ("A1 in quotation marks", format!("\"{DEFAULT}\""), Reason::Encoding),
        ("A2 padded once", format!("{DEFAULT}="), Reason::Encoding),
        ("A2 padded twice", format!("{DEFAULT}=="), Reason::Encoding),
        ("A2 plus for minus", OPAQUE.replace('-', "+"), Reason::Encoding),
        ("A2 slash for underscore", OPAQUE.replace('_', "/"), Reason::Encoding),
        ("A2 escaped minus", OPAQUE.replace('-', "%2D"), Reason::Encoding),
        ("A2 zero byte inside", format!("{}\0{}", &DEFAULT[..50], &DEFAULT[51..]), Reason::Encoding),
        ("A2 header injection", format!("{}\r\nSet-Cookie: a=b", &DEFAULT[..60]), Reason::Encoding),
        ("A5 token of JSON claims", "v1.eyJhIjoxfQ.c2ln".into(), Reason::Encoding),
        ("A5 JSON web token without algorithm", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".into(), Reason::Encoding),
        ("A5 PASETO", "v4.local.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(), Reason::Encoding),
        ("A5 common access token", "2D3RhEOhAQWhBFBha2FtYWlfa2V5X2hzMjU2".into(), Reason::Encoding),
        ("A2 non-ASCII letter", DEFAULT.replace('A', "\u{410}"), Reason::Encoding),
    ];
    for (name, text, reason) in texts {
        put(name.into(), text.into_bytes(), reason);
    }
    let mut high = DEFAULT.as_bytes().to_vec();
    high[40] = 0xff;
    put("A2 a byte over 0x7f".into(), high, Reason::Encoding);
    for last in ["J", "K", "L"] {
        let text = format!("{}{last}", &DEFAULT[..DEFAULT.len() - 1]);
        put(format!("A3 last character {last}: the same bytes, other text"), text.into(), Reason::Encoding);
    }
    let two = Raw::section(1, &[7; 16]).token();
    let (start, last) = two.split_at(two.len() - 1);
    assert!(two.len() % 4 == 2 && b"AQgw".contains(&last.as_bytes()[0]));
    for last in ["B", "R", "h", "x", "_"] {
        let text = format!("{start}{last}");
        put(format!("A3 last of two characters {last}: other text"), text.into(), Reason::Encoding);
    }
    put("A3 one character too few".into(), DEFAULT[..DEFAULT.len() - 2].into(), Reason::Encoding);
    for len in [1, 2, 3, 4, 5, 64, 243, 244] {
        put(format!("A4 {len} times A"), vec![b'A'; len], Reason::Encoding);
    }
    for len in [245, 260, 8 << 10, 64 << 10, 1 << 20] {
        put(format!("A4 {len} times A"), vec![b'A'; len], Reason::TooLong);
    }
    for len in [2, 3, 4, 6, 7, 40, 239] {
        let text = format!("rt1.{}", "A".repeat(len));
        let reason = if len % 4 == 1 { Reason::Encoding } else { Reason::Suite };
        put(format!("A4 prefix and {len} times A"), text.into(), reason);
    }
    for len in [1, 15, 16, 47] {
        put(format!("A4 {len} bytes for playback"), text_of(&vec![0x11; len]).into(), Reason::Malformed);
    }
    put("A4 the longest text, no kid of ours".into(), text_of(&[0x11; 180]).into(), Reason::UnknownKey);
}

fn keys(cases: &mut Vec<Case>) {
    let bytes = bytes_of(DEFAULT).expect("the default vector");
    let payload = &bytes[..55];
    let mut put = |name: String, bytes: &[u8], reason| cases.push(Case::new(name, text_of(bytes), reason));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let reason = match at {
            0 => Reason::Suite,
            5..9 => Reason::UnknownKey,
            _ => Reason::BadMac,
        };
        put(format!("B1 bit {} of byte {at} flipped", at % 8), &flipped, reason);
    }
    for at in [1, 12, 33, 54, 55, 70] {
        let mut shorter = bytes.clone();
        shorter.remove(at);
        let reason = if at < 5 { Reason::UnknownKey } else { Reason::BadMac };
        put(format!("B1 byte {at} deleted"), &shorter, reason);
        let mut longer = bytes.clone();
        longer.insert(at, bytes[at]);
        put(format!("B1 byte {at} doubled"), &longer, reason);
    }
    for len in [9, 16, 31, 32, 48, 54] {
        let reason = if len < 32 { Reason::Malformed } else { Reason::BadMac };
        put(
            format!("B1 payload cut to {len} bytes under the old tag"),
            &[&payload[..len], &bytes[55..]].concat(),
            reason,
        );
    }
    put("B2 tag of zeros".into(), &[payload, &[0; 16]].concat(), Reason::BadMac);
    for len in [15, 8, 0] {
        put(format!("B2 tag of {len} bytes"), &bytes[..55 + len], Reason::BadMac);
    }
    let other_use = bytes_of(&mac_anything(testing::ring(), SIGNER, Use::Bootstrap, payload)).expect("a text");
    put("B2 tag of the other use's key".into(), &other_use, Reason::BadMac);
    put("B2 tag extended to the whole HMAC".into(), &[&bytes[..], &[0x5a; 16]].concat(), Reason::BadMac);
    for (label, reason) in [
        ("prod-2025-12", Reason::BadMac),
        ("twin-of-the-first", Reason::BadMac),
        ("prod-2025-01", Reason::RevokedKey),
        ("prod-2026-02", Reason::KeyWindow),
        ("prod-2024-01", Reason::KeyWindow),
        ("nobody", Reason::UnknownKey),
    ] {
        let mut named = bytes.clone();
        named[5..9].copy_from_slice(rend_token::KeyLabel::new(label).expect("a label").kid().as_bytes());
        put(format!("B3 B4 the first key's tag under the kid of {label}"), &named, reason);
        if reason != Reason::BadMac && label != "nobody" {
            let honest = mac_anything(testing::ring(), label, Use::Playback, &named[..55]);
            put(format!("B3 honest tag of {label}"), &bytes_of(&honest).expect("a text"), reason);
        }
    }
    for kid in [[0; 4], [0xff; 4]] {
        let mut named = bytes.clone();
        named[5..9].copy_from_slice(&kid);
        put(format!("B3 kid {}", hex(&kid)), &named, Reason::UnknownKey);
    }
    for suite in [0x00, 0x01, 0x10, 0x12, 0x13, 0x21, 0x91, 0xff] {
        let mut named = bytes.clone();
        named[0] = suite;
        put(format!("B6 first byte {suite:02x}"), &named, Reason::Suite);
        let forged = mac_anything(testing::ring(), SIGNER, Use::Playback, &named[..55]);
        put(format!("B6 first byte {suite:02x}, tagged"), &bytes_of(&forged).expect("a text"), Reason::Suite);
    }
    let mut edge = Case::new("D1 key window: the second before it", window_token("prod-2026-02"), Reason::KeyWindow);
    edge.now = 1_800_000_999;
    cases.push(edge.clone());
    edge.name = "D1 key window: its end".into();
    edge.now = 1_800_002_000;
    cases.push(edge);
}

/// A token of the other key with a life that reaches over that key's window.
fn window_token(label: &str) -> Vec<u8> {
    let kid = *rend_token::KeyLabel::new(label).expect("a label").kid().as_bytes();
    let raw = Raw { kid, ttl: 9000, ..Raw::default() };
    mac_anything(testing::ring(), label, Use::Playback, &raw.bytes()).into()
}

/// A payload that may say anything.
#[derive(Clone)]
struct Raw {
    suite: u8,
    flags: u16,
    scope: u16,
    kid: [u8; 4],
    iat: u32,
    ttl: u32,
    asset: [u8; 16],
    sections: Vec<u8>,
}

impl Default for Raw {
    fn default() -> Self {
        let header = bytes_of(DEFAULT).expect("the default vector");
        Self {
            suite: 0x11,
            flags: 0,
            scope: 0xffff,
            kid: header[5..9].try_into().expect("four bytes"),
            iat: NOW.get(),
            ttl: 900,
            asset: header[16..32].try_into().expect("sixteen bytes"),
            sections: Vec::new(),
        }
    }
}

impl Raw {
    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![self.suite];
        out.extend(self.flags.to_be_bytes());
        out.extend(self.scope.to_be_bytes());
        out.extend(self.kid);
        out.extend(self.iat.to_be_bytes());
        out.extend(&self.ttl.to_be_bytes()[1..]);
        out.extend(self.asset);
        out.extend(&self.sections);
        out
    }

    fn token(&self) -> String {
        mac_anything(testing::ring(), SIGNER, Use::Playback, &self.bytes())
    }

    fn section(bit: u16, bytes: &[u8]) -> Self {
        Self { flags: 1 << bit, sections: bytes.to_vec(), ..Self::default() }
    }
}

fn claims(cases: &mut Vec<Case>) {
    let mut put = |name: String, raw: Raw| cases.push(Case::new(name, raw.token(), Reason::Malformed));
    for bit in 10..16 {
        put(format!("C1 reserved flag {bit}"), Raw::section(bit, &[]));
    }
    put("C1 no class".into(), Raw { scope: 0xf000, ..Raw::default() });
    put("C1 no life".into(), Raw { ttl: 0, ..Raw::default() });
    put("C1 expiry after 2106".into(), Raw { iat: u32::MAX, ttl: 0xff_ffff, ..Raw::default() });
    put("C1 start at the expiry".into(), Raw::section(3, &[0, 3, 0x84]));
    put("C1 start after the expiry".into(), Raw::section(3, &[0xff, 0xff, 0xff]));
    put("C1 start of zero, which is no start".into(), Raw::section(3, &[0, 0, 0]));
    put("C2 one byte too many".into(), Raw { sections: vec![0], ..Raw::default() });
    // Each section alone, cut at each byte, and with a byte too many.
    let sections: [(u16, &[u8]); 9] = [
        (1, &[7; 16]),
        (2, &[7; 7]),
        (3, &[0, 0, 60]),
        (4, &[0, 7]),
        (5, &[3, 0x84, 0, 0x38, 0x40]),
        (6, &[24, 192, 0, 2, 0]),
        (7, b"\x02DEUS"),
        (8, &[7; 8]),
        (9, b"\x04hls/"),
    ];
    for (bit, section) in sections {
        for len in 0..section.len() {
            put(format!("C2 section {bit} cut to {len} bytes"), Raw::section(bit, &section[..len]));
        }
        put(format!("C2 section {bit} and one byte"), Raw::section(bit, &[section, &[0]].concat()));
    }
    let geo: [(&str, &[u8]); 10] = [
        ("no country", b"\x00"),
        ("nine countries", b"\x09AABBCCDDEEFFGGHHII"),
        ("nine countries of which eight are there", b"\x09AABBCCDDEEFFGGHH"),
        ("countries out of order", b"\x02USGB"),
        ("a country twice", b"\x02USUS"),
        ("a lower-case country", b"\x01us"),
        ("half upper-case country", b"\x01Us"),
        ("digits for a country", b"\x01U1"),
        ("zero bytes for a country", b"\x01\0\0"),
        ("more countries than bytes", b"\x03DEGB"),
    ];
    for (name, section) in geo {
        put(format!("C3 {name}"), Raw::section(7, section));
    }
    let networks: [(&str, &[u8]); 8] = [
        ("IPv4 /33", &[33, 192, 0, 2, 1]),
        ("IPv4 /127", &[127, 192, 0, 2, 1]),
        ("IPv6 /65", &[0x80 | 65, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0xaa]),
        ("IPv6 /127", &[0xff, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0xaa]),
        ("IPv4 /24 with host bits", &[24, 192, 0, 2, 1]),
        ("IPv4 /0 with host bits", &[0, 128, 0, 0, 0]),
        ("IPv6 /48 with host bits", &[0x80 | 48, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0xaa]),
        ("IPv6 family with an IPv4 address", &[0x80 | 24, 192, 0, 2, 0]),
    ];
    for (name, section) in networks {
        put(format!("C3 {name}"), Raw::section(6, section));
    }
    let long = [&[65][..], &[b'x'; 64], b"/"].concat();
    let prefixes: [(&str, &[u8]); 17] = [
        ("empty prefix", b"\x00"),
        ("prefix of 65", &long),
        ("prefix without slash", b"\x03hls"),
        ("prefix that is a slash", b"\x01/"),
        ("prefix with leading slash", b"\x05/hls/"),
        ("prefix of dots", b"\x03../"),
        ("prefix with dots inside", b"\x08hls/../x"),
        ("prefix that ends in dots", b"\x07hls/../"),
        ("prefix with a dot part", b"\x06hls/./"),
        ("prefix with two slashes", b"\x05hls//"),
        ("escaped prefix", b"\x06h%6cs/"),
        ("prefix with backslash", b"\x05hls\\/"),
        ("prefix with zero byte", b"\x05hl\0s/"),
        ("prefix with space", b"\x05hl s/"),
        ("prefix beyond ASCII", b"\x04\xc3\xa9l/"),
        ("prefix of bad UTF-8", b"\x05h\xffls/"),
        ("prefix longer than the rest", b"\x09hls/"),
    ];
    for (name, section) in prefixes {
        put(format!("C4 {name}"), Raw::section(9, section));
    }
    put("C4 renewal step of zero".into(), Raw::section(5, &[0, 0, 0, 0x38, 0x40]));
    put("C4 deadline before the expiry".into(), Raw::section(5, &[3, 0x84, 0, 3, 0x83]));
    let late = u32::MAX - 1000;
    put("C4 deadline after 2106".into(), Raw { iat: late, ..Raw::section(5, &[3, 0x84, 0, 0x38, 0x40]) });
    put("C5 audience of zero".into(), Raw::section(4, &[0, 0]));
    put("C5 session flag without session".into(), Raw::section(2, &[]));
    put(
        "C5 audience before start".into(),
        Raw { flags: 0b1_1000, sections: vec![0xff, 7, 0, 0, 60], ..Raw::default() },
    );
}

fn times(cases: &mut Vec<Case>) {
    let iat = NOW.get();
    let mut at = |name: &str, token: &str, now: u32, reason| {
        cases.push(Case::new(name, token, reason).with(|case| case.now = now));
    };
    at("D1 31 seconds early", DEFAULT, iat - 31, Reason::NotYet);
    at("D1 at the epoch", DEFAULT, 0, Reason::NotYet);
    at("D1 an hour early", DEFAULT, iat - 3600, Reason::NotYet);
    at("D1 at the expiry", DEFAULT, iat + 900, Reason::Expired);
    at("D2 one second after the expiry", DEFAULT, iat + 901, Reason::Expired);
    at("D1 at the end of time", DEFAULT, u32::MAX, Reason::Expired);
    at("D2 a life of one second is over after it", OPAQUE, iat + 1, Reason::Expired);
    let max = Raw { ttl: 86_401, ..Raw::default() }.token();
    at("C1 one second over the longest life", &max, iat + 1, Reason::TtlPolicy);
    let max = Raw { ttl: 0xff_ffff, ..Raw::default() }.token();
    at("C1 the longest life that can be written", &max, iat + 1, Reason::TtlPolicy);
    let short = Case::new("C1 a life over a stricter policy", DEFAULT, Reason::TtlPolicy);
    cases.push(short.with(|case| case.ttl_secs_max = 899));
    let full = |name: &str, now, reason| Case::new(name, FULL, reason).in_full().with(|case| case.now = now);
    cases.push(full("D1 start of a delayed token, 31 seconds early", iat + 29, Reason::NotYet));
    cases.push(full("D1 delayed token at its issue", iat, Reason::NotYet));
    cases.push(full("D1 renewable token at its expiry", iat + 900, Reason::Expired));
    cases.push(full("D1 renewable token after its deadline", iat + 14_401, Reason::Expired));
}

fn scope(cases: &mut Vec<Case>) {
    for (name, asset) in [
        ("E1 another asset", "018f5d3e-7c1a-7b2c-9d4e-5f60718293a5"),
        ("E1 one digit short", "018f5d3e-7c1a-7b2c-9d4e-5f60718293a"),
        ("E1 one digit more", "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4a"),
        ("E1 upper case", "018f5d3e-7c1a-7b2c-9d4e-5f60718293A4"),
        ("E1 without hyphens", "018f5d3e7c1a7b2c9d4e5f60718293a4"),
        ("C5 opaque asset for a token of a UUID", "my_video-42"),
        ("E2 opaque asset", "abc"),
    ] {
        cases.push(Case::new(name, DEFAULT, Reason::Asset).with(|case| case.asset = asset.into()));
    }
    for (name, asset) in [
        ("E2 an opaque name that starts so", "my_video-4"),
        ("E2 an opaque name that goes on", "my_video-42x"),
        ("E2 an opaque name in upper case", "MY_VIDEO-42"),
        ("C5 UUID for a token of an opaque asset", ASSET),
    ] {
        let other = Case::new(name, OPAQUE, Reason::Asset).with(|case| case.asset = asset.into());
        cases.push(other.with(|case| case.now = NOW.get()));
    }
    let colliding = Raw { flags: 1, ..Raw::default() }.token();
    cases.push(Case::new("C5 opaque flag over the bytes of a UUID", colliding, Reason::Asset));
    for class in ArtifactClass::ALL.into_iter().skip(4) {
        let name = format!("E5 HLS token asks for {}", class.as_str());
        cases.push(Case::new(name, DEFAULT, Reason::Class).with(|case| case.class = class));
    }
    for class in ArtifactClass::ALL {
        let others = Raw { scope: 0xf000 | (0xfff & !(1 << class as u16)), ..Raw::default() };
        let name = format!("E5 token for all but {}", class.as_str());
        cases.push(Case::new(name, others.token(), Reason::Class).with(|case| case.class = class));
    }
    for rung in 4..15 {
        let name = format!("E5 rung {rung} over a ceiling of 3");
        cases.push(Case::new(name, DEFAULT, Reason::Rung).with(|case| case.rung = Some(rung)));
    }
    for path in
        ["hls/720pX/segment_00001.m4s", "hls/1080p/segment_00001.m4s", "hls/720p", "opener.mp4", "", "HLS/720p/x"]
    {
        let name = format!("E5 path {path:?} outside the prefix");
        cases.push(Case::new(name, FULL, Reason::Prefix).in_full().with(|case| case.path = path.into()));
    }
    let mut boot = Raw { suite: 0x12, ttl: 120, ..Raw::default() };
    let token = |raw: &Raw| mac_anything(testing::ring(), SIGNER, Use::Bootstrap, &raw.bytes());
    let case = |name: &str, token: String, reason| {
        Case::new(name, token, reason).with(|case| {
            case.purpose = Use::Bootstrap;
            case.class = ArtifactClass::MasterManifest;
            case.rung = None;
            case.path = "hls/master.m3u8".into();
        })
    };
    cases.push(Case::new("H4 bootstrap token fetches a segment", token(&boot), Reason::Suite));
    cases.push(case("H4 bootstrap token asks for a segment", token(&boot), Reason::Class).with(|case| {
        case.class = ArtifactClass::Segment;
    }));
    cases.push(case("H4 playback token is exchanged", DEFAULT.into(), Reason::Suite));
    cases.push(case(
        "H4 bootstrap token without the manifest",
        token(&Raw { scope: 0xfffe, ..boot.clone() }),
        Reason::Class,
    ));
    boot.ttl = 121;
    cases.push(case("H4 bootstrap token that lives too long", token(&boot), Reason::TtlPolicy));
}

fn viewers(cases: &mut Vec<Case>) {
    let mut full = |name: &str, reason, change: fn(&mut Case)| {
        cases.push(Case::new(name, FULL, reason).in_full().with(change));
    };
    full("F audience not known", Reason::Audience, |case| case.audience = None);
    full("F another audience", Reason::Audience, |case| case.audience = Some(8));
    full("F address not known", Reason::Ip, |case| case.address = None);
    full("F country not known", Reason::Geo, |case| case.country = None);
    full("F origin not known", Reason::Origin, |case| case.origin = None);
    full("F the next network", Reason::Ip, |case| case.address = Some("2001:db8:0:ab::".into()));
    full("F the network before", Reason::Ip, |case| case.address = Some("2001:db8:0:a9:ffff:ffff:ffff:ffff".into()));
    full("F IPv4 viewer of an IPv6 token", Reason::Ip, |case| case.address = Some("192.0.2.1".into()));
    full("F mapped IPv4 viewer of an IPv6 token", Reason::Ip, |case| case.address = Some("::ffff:192.0.2.1".into()));
    full("F another country", Reason::Geo, |case| case.country = Some("FR".into()));
    full("F no man's country", Reason::Geo, |case| case.country = Some("XX".into()));
    full("F Tor as country", Reason::Geo, |case| case.country = Some("T1".into()));
    full("F empty country", Reason::Geo, |case| case.country = Some(String::new()));
    full("F lower-case country", Reason::Geo, |case| case.country = Some("de".into()));
    full("F null origin", Reason::Origin, |case| case.origin = Some("null".into()));
    full("F empty origin", Reason::Origin, |case| case.origin = Some(String::new()));
    full("F origin that goes on", Reason::Origin, |case| case.origin = Some("https://www.example.com.evil.io".into()));
    full("F origin with a dot at the end", Reason::Origin, |case| {
        case.origin = Some("https://www.example.com.".into())
    });
    full("F origin with its port", Reason::Origin, |case| case.origin = Some("https://www.example.com:443".into()));
    full("F origin in upper case", Reason::Origin, |case| case.origin = Some("https://WWW.example.com".into()));
    full("F origin over http", Reason::Origin, |case| case.origin = Some("http://www.example.com".into()));
    full("F origin longer than any", Reason::Origin, |case| case.origin = Some("x".repeat(5000)));
    for (address, network) in [
        ("192.0.3.0", [24, 192, 0, 2, 0]),
        ("192.0.1.255", [24, 192, 0, 2, 0]),
        ("::ffff:192.0.3.1", [24, 192, 0, 2, 0]),
        ("2001:db8::1", [0, 0, 0, 0, 0]),
        ("192.0.2.2", [32, 192, 0, 2, 1]),
    ] {
        let name =
            format!("F {address} outside {}.{}.{}.{}/{}", network[1], network[2], network[3], network[4], network[0]);
        let token = Raw::section(6, &network).token();
        cases.push(Case::new(name, token, Reason::Ip).with(|case| case.address = Some(address.into())));
    }
}

fn revocations(cases: &mut Vec<Case>) {
    let iat = NOW.get();
    let case = |name: &str, reason| Case::new(name, DEFAULT, reason);
    cases.push(case("H2 issued one second before the asset's cut-off", Reason::RevokedAsset).with(|case| {
        case.asset_cutoff = iat + 1;
    }));
    cases.push(case("H2 issued one second before the organisation's cut-off", Reason::RevokedOrg).with(|case| {
        case.org_cutoff = iat + 1;
    }));
    cases.push(case("H3 ended session", Reason::RevokedSession).with(|case| case.ended = true));
    cases.push(case("H2 all three, the asset first", Reason::RevokedAsset).with(|case| {
        (case.asset_cutoff, case.org_cutoff, case.ended) = (iat + 1, iat + 1, true);
    }));
    cases.push(case("H2 organisation and session, the organisation first", Reason::RevokedOrg).with(|case| {
        (case.org_cutoff, case.ended) = (iat + 1, true);
    }));
    let full = Case::new("H2 delayed token issued before the cut-off", FULL, Reason::RevokedAsset).in_full();
    cases.push(full.with(|case| case.asset_cutoff = iat + 30));
    let kid = *rend_token::KeyLabel::new("not-before-noon").expect("a label").kid().as_bytes();
    let raw = Raw { kid, ..Raw::default() };
    let token = mac_anything(testing::ring(), "not-before-noon", Use::Playback, &raw.bytes());
    cases.push(Case::new("H2 issued one second before the key's bound", token, Reason::RevokedKey));
}

const SIGNER: &str = "prod-2026-01";
/// The vector with organisation and session.
pub(crate) const DEFAULT: &str =
    "rt1.EQAGMA-ys08Ia0nSAAADhAGPXT58GnssnU5fYHGCk6QBkKqqAABwAIAAAAAAAAABnzwqexHQTseboNTHltcYkGkOi2NTA7I";
/// The vector for an opaque asset, which lives one second.
pub(crate) const OPAQUE: &str = "rt1.EQAB__-ys08Ia0nSAAAAAQeCc9IYSa5NVGvwqLu54FV_f1oszUzPPgSvNhuq54cR";
/// The vector with every section.
pub(crate) const FULL: &str = "rt1.EQP-X_-ys08Ia0nSAAADhAGPXT58GnssnU5fYHGCk6QBkKqqAABwAIAAAAAAAAABAAAAAAAAAAAAPAAHA4QAOEDA\
                        IAENuAAAAKoDREVHQlVTNwq6Mv8mqD8JaGxzLzcyMHAvgmB7HCchiCqnER3WvBBa5Q";
pub(crate) const ORG: [u8; 16] = [0x01, 0x90, 0xaa, 0xaa, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x01];
pub(crate) const SESSION: [u8; 7] = [0x9f, 0x3c, 0x2a, 0x7b, 0x11, 0xd0, 0x4e];
