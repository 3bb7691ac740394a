//! Tokens on their way: headers as strangers write them, cookies as browsers want them, texts that are written down.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use rend_token::testing::{self, ASSET, NOW, request, ring};
use rend_token::transport::{
    COOKIE_LOCAL, COOKIE_SECURE, CookieDomain, CookieSite, SetCookie, bearer, candidates, redact, split_path,
};
use rend_token::{AssetRef, ClassMask, Grant, Signer, TokenBuf, Verifier};

fn token() -> TokenBuf {
    let asset = AssetRef::parse(ASSET).unwrap();
    Signer::new(ring()).sign(&Grant::playback(&asset, ClassMask::HLS, 900).build(NOW).unwrap()).unwrap()
}

#[track_caller]
fn check(query: &str, path: Option<&str>, lines: &[&[u8]], expect: &[&str]) {
    let found = candidates(Some(query.as_bytes()), path.map(str::as_bytes), lines.iter().copied(), COOKIE_SECURE);
    let found: Vec<_> = found.iter().map(|token| String::from_utf8_lossy(token).into_owned()).collect();
    assert_eq!(found, expect);
}

#[test]
fn g1_cookies_come_in_crumbs_among_strangers() {
    check("", None, &[b"a=1", b"__Secure-rend_pb=T"], &["T"]);
    check("", None, &[b"a=\xff\xfe; __Secure-rend_pb=T; b=\x80"], &["T"]);
    check("", None, &[b"__Secure-rend_pb=; __Secure-rend_pb=T"], &["T"]);
    check("", None, &[b"__Secure-rend_pb=\"T\""], &["\"T\""]);
    check("", None, &[b"__secure-rend_pb=T; x__Secure-rend_pb=T; __Secure-rend_pbx=T; rend_pb=T"], &[]);
    check("", None, &[b";;; ;=;__Secure-rend_pb"], &[]);
    let many = format!("{}__Secure-rend_pb=T", "a=b; ".repeat(200));
    check("", None, &[many.as_bytes()], &["T"]);
    let long = format!("a={}; __Secure-rend_pb=T", "x".repeat(16 << 10));
    check("", None, &[long.as_bytes()], &["T"]);
}

#[test]
fn g2_of_tossed_cookies_four_are_tried() {
    let name = COOKIE_SECURE;
    let five = format!("{name}=1; {name}=2; {name}=3; {name}=4; {name}=5");
    check("", None, &[five.as_bytes()], &["1", "2", "3", "4"]);
    check("token=q", Some("p"), &[five.as_bytes()], &["q", "p", "1", "2"]);
    let token = token();
    let tossed = format!("{name}=junk; {name}={}", token.as_str());
    let claims = testing::decode(&testing::bytes_of(token.as_str()).unwrap()[..32]).unwrap();
    let request = request(&claims, NOW);
    let found = candidates(None, None, [tossed.as_bytes()], name);
    let verdicts: Vec<_> =
        found.iter().map(|token| Verifier::playback(ring()).verify(token, &request).is_ok()).collect();
    assert_eq!(verdicts, [false, true]);
}

#[test]
fn g3_a_query_names_its_token_exactly() {
    check("token=a&token=b", None, &[], &["a", "b"]);
    check("TOKEN=a&token[]=b&xtoken=c&token", None, &[], &[]);
    check("a=b&token=q", None, &[b"__Secure-rend_pb=T"], &["q", "T"]);
    check("token=", Some(""), &[], &[]);
}

#[test]
fn a_path_token_stands_before_the_artifact() {
    let split = |path| split_path(path).map(|split| (split.asset, split.token, split.artifact));
    assert_eq!(split("/v/a/hls/master.m3u8"), Some(("a", None, "hls/master.m3u8")));
    assert_eq!(split("/v/a/~rt1.x/hls/master.m3u8"), Some(("a", Some("rt1.x"), "hls/master.m3u8")));
    assert_eq!(split("/v/a/~/x"), Some(("a", Some(""), "x")));
    for path in ["", "/", "/v", "/v/", "/v/a", "/v/a/", "/v//x", "/v/a/~rt1.x", "/v/a/~rt1.x/", "/w/a/x", "v/a/x"] {
        assert_eq!(split(path), None, "{path}");
    }
}

#[test]
fn a_bearer_header_is_read_whatever_its_case() {
    assert_eq!(bearer(b"Bearer rt1.x"), Some(b"rt1.x".as_slice()));
    assert_eq!(bearer(b"bearer  rt1.x "), Some(b"rt1.x".as_slice()));
    assert_eq!(bearer(b"Basic abc"), None);
    assert_eq!(bearer(b""), None);
}

#[test]
fn g4_a_cookie_is_set_for_one_asset_s_paths() {
    let (token, asset) = (token(), AssetRef::parse(ASSET).unwrap());
    let text = token.as_str();
    let set = |site| SetCookie::new(site, &token, &asset, 900).to_string();
    assert_eq!(
        set(CookieSite::Local),
        format!("{COOKIE_LOCAL}={text}; Path=/v/{ASSET}/; Max-Age=900; HttpOnly; SameSite=Lax")
    );
    assert_eq!(
        set(CookieSite::Same),
        format!("{COOKIE_SECURE}={text}; Path=/v/{ASSET}/; Max-Age=900; HttpOnly; Secure; SameSite=Lax")
    );
    assert_eq!(
        set(CookieSite::Cross),
        format!("{COOKIE_SECURE}={text}; Path=/v/{ASSET}/; Max-Age=900; HttpOnly; Secure; SameSite=None; Partitioned")
    );
    let clear = SetCookie::clear(CookieSite::Same, &asset).to_string();
    assert_eq!(clear, format!("{COOKIE_SECURE}=; Path=/v/{ASSET}/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"));
    let domain = CookieDomain::new("example.com", "www.example.com", "edge.example.com").unwrap();
    let shared = SetCookie::new(CookieSite::Same, &token, &asset, 1).domain(domain).to_string();
    assert!(shared.contains("; Domain=example.com; "), "{shared}");
}

#[test]
fn g4_a_domain_is_one_that_both_hosts_lie_under_and_strangers_cannot() {
    let shared = |domain, page, edge| CookieDomain::new(domain, page, edge).is_some();
    assert!(shared("example.com", "example.com", "edge.example.com"));
    assert!(shared(".example.co.uk", "a.example.co.uk", "b.example.co.uk"));
    assert!(!shared("example.com", "example.org", "edge.example.com"));
    assert!(!shared("example.com", "badexample.com", "edge.example.com"));
    assert!(!shared("com", "a.com", "b.com"));
    assert!(!shared("co.uk", "a.co.uk", "b.co.uk"));
    assert!(!shared("github.io", "a.github.io", "b.github.io"));
    assert!(!shared("0.0.1", "127.0.0.1", "127.0.0.1"));
    assert!(!shared("127.0.0.1", "127.0.0.1", "127.0.0.1"));
    assert!(!shared("Example.com", "a.Example.com", "a.Example.com"));
    assert!(!shared("example.com; Secure", "example.com; Secure", "example.com; Secure"));
    assert!(!shared("", "", ""));
}

#[test]
fn what_is_written_down_shows_no_token() {
    let hide = |text: &str| redact(text).to_string();
    let token = token();
    let token = token.as_str();
    for text in [
        format!("GET /v/a/~{token}/hls/master.m3u8"),
        format!("Cookie: a=b; {COOKIE_SECURE}={token}"),
        format!("\u{e9}{token}\u{e9}"),
        format!("{token}{token}"),
        format!("rt1.{token}"),
        token.to_uppercase(),
    ] {
        let shown = hide(&text);
        assert!(!testing::has_token(&shown) && !shown.contains(&token[30..40]), "{shown}");
        assert!(shown.contains("[redacted]"), "{shown}");
    }
    assert_eq!(hide("x?token=abc.d%20e&f=g"), "x?token=[redacted]&f=g");
    assert_eq!(hide("x?token=abc HTTP/1.1"), "x?token=[redacted] HTTP/1.1");
    assert_eq!(hide("x?token=&f=g rt1. rt1"), "x?token=&f=g rt1. rt1");
    assert_eq!(hide("token=\u{e9}\u{e9}&a"), "token=[redacted]&a");
    assert_eq!(hide("nothing to hide \u{e9}"), "nothing to hide \u{e9}");
    assert_eq!(hide(&hide("a rt1.abc b")), "a rt1.[redacted] b");
}
