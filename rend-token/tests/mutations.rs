//! Every check of the verification order, taken out one at a time: a named test must notice each.
//!
//!     cargo test -p rend-token --test mutations -- --include-ignored
//!
//! A copy of the crate stands in the target folder; for each row of the table one line of it is changed, and the test that
//! the row names is run and must fail. The last column of the answer is that test.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is taken out, in which file, what stands there, what stands there instead.
type Mutation = (&'static str, &'static str, &'static str, &'static str);

const MUTATIONS: &[Mutation] = &[
    ("missing token", VERIFY, "if token.is_empty() {", "if false {"),
    ("length", VERIFY, "if token.len() > TOKEN_LEN_MAX {", "if false {"),
    (
        "prefix",
        VERIFY,
        "token.strip_prefix(PREFIX).ok_or(Reason::Encoding)?",
        "token.get(4..).ok_or(Reason::Encoding)?",
    ),
    ("base64: alphabet and spare bits", BASE64, "(bad >> 24 == 0).then_some(len)", "(bad != 1).then_some(len)"),
    ("base64: spare bits of two characters", BASE64, "bad |= word | (word & 0xf000) << 16;", "bad |= word;"),
    ("base64: spare bits of three characters", BASE64, "bad |= word | (word & 0xc0) << 24;", "bad |= word;"),
    ("base64: impossible length", BASE64, "text.len() % 4 == 1 || out.len() < len", "out.len() < len"),
    ("use", VERIFY, "if bytes.first() != Some(&(self.purpose as u8)) {", "if bytes.is_empty() {"),
    ("least length", VERIFY, "if payload.len() < HEADER_LEN {", "if payload.len() < 9 {"),
    ("kid", VERIFY, ".find(|key| key.kid == kid)", ".find(|key| key.kid == kid || kid.0[0] == 0)"),
    ("revoked key", VERIFY, "if key.revoked {", "if false {"),
    ("key window", VERIFY, "if !key.in_window(now) {", "if false {"),
    ("key window: its start", RING, "from <= now && (", "("),
    ("key window: its end", RING, "(now < until || until == UnixSecs::MAX)", "(until > UnixSecs::ZERO)"),
    ("tag", VERIFY, "if !tags_eq(key.mac(self.purpose).tag(message), tag) {", "if false {"),
    (
        "tag: all of it",
        MAC,
        "black_box(u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)) == 0",
        "(u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)) as u64 == 0",
    ),
    ("a key for each use", RING, "Use::Playback => &self.playback,", "Use::Playback => &self.bootstrap,"),
    ("reserved flags", CODEC, "if flags >> FLAGS != 0 {", "if false {"),
    ("no class", CODEC, ".filter(|classes| *classes != ClassMask::NONE)", ""),
    ("life of zero", CODEC, "if ttl_secs == 0 {", "if false {"),
    ("expiry beyond time", CODEC, "    issued_at.checked_add(ttl_secs)?;\n", ""),
    ("start of zero", CODEC, "claims.start_secs == 0 || claims.start_secs >=", "claims.start_secs >="),
    (
        "start after expiry",
        CODEC,
        "claims.start_secs == 0 || claims.start_secs >= claims.ttl_secs",
        "claims.start_secs == 0",
    ),
    ("audience of zero", CODEC, "if claims.audience == 0 {", "if false {"),
    ("renewal step of zero", CODEC, "renewal.step_secs == 0 || ", ""),
    ("deadline before expiry", CODEC, " || renewal.horizon_secs < claims.ttl_secs", ""),
    ("deadline beyond time", CODEC, "claims.issued_at.get().checked_add(renewal.horizon_secs)?;", ""),
    ("network: prefix length", CODEC, "prefix_len > if v6 { 64 } else { 32 } || ", ""),
    ("network: host bits", CODEC, " || beyond != 0", ""),
    ("countries: none", CODEC, "len == 0 || usize::from(len) > COUNTRIES_MAX", "usize::from(len) > COUNTRIES_MAX"),
    ("countries: too many", CODEC, "len == 0 || usize::from(len) > COUNTRIES_MAX", "len == 0"),
    ("countries: order", CODEC, "!codes.is_sorted_by(|a, b| a < b) || ", ""),
    ("countries: letters", CODEC, " || !codes.iter().all(|code| code.0.iter().all(u8::is_ascii_uppercase))", ""),
    ("path prefix: parts", CLAIMS, " || !name.split('/').all(crate::grammar::is_plain_part)", ""),
    ("path prefix: its length", CLAIMS, "text.len() > PREFIX_LEN_MAX || ", "text.len() > 255 || "),
    ("path prefix: the slash", CLAIMS, ".strip_suffix('/')?", ".trim_end_matches('/')"),
    ("exact end", CODEC, "from.0.is_empty().then_some(kid)", "Some(kid)"),
    ("start", VERIFY, "if now < claims.starts_at().saturating_sub(self.policy.early_secs) {", "if false {"),
    ("start: leeway", VERIFY, ".saturating_sub(self.policy.early_secs)", ".saturating_sub(self.policy.early_secs + 1)"),
    ("expiry", VERIFY, "if now >= claims.expires_at().saturating_add(self.policy.late_secs) {", "if false {"),
    ("expiry: its second", VERIFY, "if now >= claims.expires_at()", "if now > claims.expires_at()"),
    ("longest life", VERIFY, "if claims.ttl_secs > ttl_secs_max {", "if false {"),
    ("longest life of a bootstrap token", VERIFY, ".min(BOOTSTRAP_TTL_SECS_MAX)", ""),
    ("asset", VERIFY, "if claims.asset != request.asset {", "if false {"),
    ("asset: its kind", VERIFY, "claims.asset != request.asset", "claims.asset.bytes != request.asset.bytes"),
    ("class", VERIFY, "!claims.classes.has(artifact.class) || ", ""),
    ("class of an exchange", VERIFY, " || !exchanged", ""),
    ("rung", VERIFY, "&& rung > ceiling", "&& rung > ceiling && false"),
    ("path", VERIFY, "if !prefix.is_empty() && !artifact.path.as_bytes().starts_with(prefix) {", "if false {"),
    ("audience", VERIFY, "claims.audience != 0 && request.audience != Some(claims.audience)", "false"),
    (
        "audience not known",
        VERIFY,
        "request.audience != Some(claims.audience)",
        "request.audience.is_some_and(|a| a != claims.audience)",
    ),
    (
        "network",
        VERIFY,
        "&& !request.address.is_some_and(|address| network.contains(address))",
        "&& request.address.is_none()",
    ),
    ("network not known", VERIFY, "!request.address.is_some_and(", "!request.address.is_none_or("),
    ("network: family", CLAIMS, "v6 == self.v6 && same", "same"),
    (
        "country",
        VERIFY,
        "&& !request.country.is_some_and(|country| claims.countries.as_slice().contains(&country))",
        "&& request.country.is_none()",
    ),
    ("country not known", VERIFY, "!request.country.is_some_and(", "!request.country.is_none_or("),
    ("origin", VERIFY, "claims.origin.is_some() && request.origin.and_then(OriginKey::of) != claims.origin", "false"),
    (
        "origin not known",
        VERIFY,
        "claims.origin.is_some() && request.origin",
        "request.origin.is_some() && request.origin",
    ),
    ("bound on a key's tokens", VERIFY, "if claims.issued_at < key.issued_at_min {", "if false {"),
    (
        "cut-off of an asset",
        VERIFY,
        "if claims.issued_at < self.revocation.asset_cutoff(&claims.asset) {",
        "if false {",
    ),
    ("cut-off of an organisation", VERIFY, "claims.issued_at < self.revocation.org_cutoff(&org)", "org.0[0] == 99"),
    ("ended session", VERIFY, "self.revocation.session_denied(&session)", "session.0[0] == 99"),
];

const VERIFY: &str = "verify.rs";
const CODEC: &str = "codec.rs";
const BASE64: &str = "base64.rs";
const CLAIMS: &str = "claims.rs";
const MAC: &str = "mac.rs";
const RING: &str = "ring.rs";

/// The test that must notice, in `tests/vectors.rs`.
const NAMED_TEST: &str = "every_attack_is_refused_for_its_reason";

#[test]
fn every_row_changes_the_source() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (name, file, from, to) in MUTATIONS {
        let text = fs::read_to_string(source.join(file)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{name}: {from:?} in {file}");
        assert_ne!(from, to, "{name}");
    }
}

#[test]
#[ignore = "builds the crate once for every check, which takes minutes"]
fn no_check_can_be_taken_out_unnoticed() {
    let copy = copy();
    let run = || {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--quiet", "--offline", "--package", "rend-token", "--test", "vectors", NAMED_TEST]);
        cargo.current_dir(&copy).env("CARGO_TARGET_DIR", copy.join("target")).env("RUSTFLAGS", "-Awarnings");
        let output = cargo.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (passes, said) = run();
    assert!(passes, "unchanged, the copy must pass: {said}");
    let mut unnoticed = Vec::new();
    for (name, file, from, to) in MUTATIONS {
        let path = copy.join("rend-token/src").join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let (passes, said) = run();
        let noticed = !passes && said.contains(&format!("{NAMED_TEST} --- FAILED"));
        assert!(
            passes || noticed || said.contains(&format!("{NAMED_TEST} ... FAILED")),
            "{name} does not build: {said}"
        );
        println!("{} {name}: {NAMED_TEST}", if passes { "MISSED" } else { "caught" });
        unnoticed.extend(passes.then_some(*name));
        fs::write(&path, text).unwrap();
    }
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}

/// The crate in a workspace of its own.
fn copy() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().unwrap();
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    let after: String =
        after.lines().filter(|line| !line.starts_with("default-members")).map(|l| format!("{l}\n")).collect();
    copy_folder(here, &copy.join("rend-token"));
    fs::write(copy.join("Cargo.toml"), format!("{before}members = [\"rend-token\"]\n{after}")).unwrap();
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true if path.ends_with("no_std_probe") => {}
            true => copy_folder(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}
