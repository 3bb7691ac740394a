//! What a playback token costs beside its peers: `cargo bench --bench token`.
//!
//! The unit is F2, two compressions of SHA-256, which is the least that any HMAC of a short text costs. All candidates run
//! in turns within one process; what is shown is the tenth percentile of the CPU time of a thread, and every allocation
//! is counted. `cargo xtask bench token` runs it; `cargo xtask bench token --soft` runs it without SHA instructions.
//!
//! `-- --only "rend-token: verify" --turns 1000000` does one row so often and nothing else, for a tool that counts
//! instructions: on a busy machine they are worth more than nanoseconds.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]
#![expect(unsafe_code, reason = "an allocator that counts can only be made so")]

#[path = "support/anchors.rs"]
mod anchors;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rend_core::artifact::ArtifactPath;
use rend_token::transport::{COOKIE_SECURE, candidates, split_path};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, Claims, ClassMask, Grant, KeyLabel, KeyRing, KeySpec, Org, Policy, Request,
    RevocationBuf, Rung, Secret, SecretPolicy, SessionId, Signer, TOKEN_LEN_MAX, UnixSecs, Verifier,
};
use rustix::time::{ClockId, clock_gettime};
use sha2::block_api::compress256;

fn main() {
    let ring = key_ring();
    let asset = AssetRef::parse(ASSET).unwrap();
    let claims = claims(&asset);
    let token = Signer::new(&ring).sign(&claims).unwrap();
    let revoked = revoked();
    let verifier = Verifier::playback(&ring).with_revocation(&revoked);
    let now = UnixSecs::new(1_800_000_001);
    let path = format!("/v/{ASSET}/{ARTIFACT}");
    let request = request(&asset, now);
    let chain = Grant::playback(&asset, ClassMask::HLS, 900).renewable(900, 14_400).build(now).unwrap();
    let chain = Signer::new(&ring).sign(&chain).unwrap();
    let verified = verifier.verify(chain.as_bytes(), &request).unwrap();
    let signer = Signer::new(&ring);

    let (mut state, block) = ([7_u32; 8], [[9_u8; 64]]);
    let mut buffer = [0; TOKEN_LEN_MAX];
    let cookie = format!("theme=dark; session=0123456789abcdef; {COOKIE_SECURE}={}", token.as_str());

    let mut table = Table::default();
    table.add("two SHA-256 compressions (F2)", || {
        compress256(black_box(&mut state), black_box(&block));
        compress256(black_box(&mut state), black_box(&block));
    });
    table.add("rend-token: path, asset and verify", || {
        let path = split_path(black_box(&path)).unwrap();
        let asset = AssetRef::parse(path.asset).unwrap();
        let artifact: ArtifactPath = path.artifact.parse().unwrap();
        let rung = artifact.rendition().and_then(|rendition| Rung::new(rendition.ladder_index())).unwrap();
        let artifact = Artifact::new(ArtifactClass::Segment, path.artifact).on_rung(rung);
        black_box(verifier.verify(black_box(token.as_bytes()), &Request::new(&asset, artifact, now)).is_ok());
    });
    table.add("  of that: path taken apart", || {
        black_box(split_path(black_box(&path)).is_some());
    });
    table.add("  of that: asset", || {
        black_box(AssetRef::parse(black_box(ASSET)).is_ok());
    });
    table.add("  of that: artifact (rend-core)", || {
        black_box(black_box(ARTIFACT).parse::<ArtifactPath>().is_ok());
    });
    table.add("rend-token: verify", || {
        black_box(verifier.verify(black_box(token.as_bytes()), black_box(&request)).is_ok());
    });
    table.add("rend-token: sign", || {
        black_box(signer.sign_into(black_box(&claims), &mut buffer).is_ok());
    });
    table.add("rend-token: renew", || {
        black_box(signer.renew(black_box(&verified), now).is_ok());
    });
    table.add("rend-token: extract from a cookie", || {
        black_box(candidates(None, None, [black_box(cookie.as_bytes())], COOKIE_SECURE).len());
    });
    rejects(&mut table, &verifier, token.as_str(), &request, &asset);
    anchors::add_to(&mut table);
    if let Some((name, turns)) = only() {
        return table.turn(&name, turns);
    }
    table.run();
    table.print();
    let t = leak(&verifier, token.as_str(), &request);
    let told = if t < 4.5 { "met   " } else { "MISSED" };
    println!("{told} G9 |t| of first against last byte of a wrong tag, 2 x {LEAK_SAMPLES} samples: {t:.2}, below 4.5");
}

/// Refusals at each stage: none may cost more than a token that is good.
fn rejects<'a>(
    table: &mut Table<'a>,
    verifier: &'a Verifier<'a, &'a RevocationBuf>,
    token: &str,
    request: &'a Request<'a>,
    asset: &AssetRef,
) {
    let other = AssetRef::uuid([0; 16]);
    let artifact = Artifact::new(ArtifactClass::Segment, ARTIFACT);
    let late = Request::new(asset, artifact, UnixSecs::new(1_900_000_000));
    let elsewhere = Request::new(&other, artifact, UnixSecs::new(1_800_000_001));
    let last = token.len() - 5;
    let cases = [
        ("reject: a megabyte", "A".repeat(1 << 20), *request),
        ("reject: wrong prefix", token.replace("rt1.", "rt2."), *request),
        ("reject: wrong alphabet", token.replace('A', "+"), *request),
        ("reject: unknown key", format!("{}AAAAA{}", &token[..10], &token[15..]), *request),
        ("reject: wrong tag", format!("{}AAAAA", &token[..last]), *request),
        ("reject: expired", token.to_owned(), late),
        ("reject: another asset", token.to_owned(), elsewhere),
    ];
    for (name, token, request) in cases {
        assert!(verifier.verify(token.as_bytes(), &request).is_err());
        table.add(name, move || {
            black_box(verifier.verify(black_box(token.as_bytes()), black_box(&request)).is_ok());
        });
    }
}

/// Whether the time of a refusal tells where a tag is wrong: Welch's t between tags that are wrong in their first and in
/// their last byte, measured one by one in random turns over one buffer. From 4.5 on it would be said to tell.
fn leak(verifier: &Verifier<'_, &RevocationBuf>, token: &str, request: &Request<'_>) -> f64 {
    let bytes = URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
    let wrong_at = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x55;
        format!("rt1.{}", URL_SAFE_NO_PAD.encode(bytes)).into_bytes()
    };
    let classes = [wrong_at(bytes.len() - 16), wrong_at(bytes.len() - 1)];
    let mut buffer = token.as_bytes().to_vec();
    let mut samples = [Vec::with_capacity(LEAK_SAMPLES), Vec::with_capacity(LEAK_SAMPLES)];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while samples.iter().any(|class| class.len() < LEAK_SAMPLES) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let class = usize::from(state >> 40 & 1 == 1);
        buffer.copy_from_slice(&classes[class]);
        let start = wall_nanos();
        let refused = verifier.verify(black_box(&buffer), black_box(request)).is_err();
        let took = wall_nanos() - start;
        assert!(black_box(refused));
        if samples[class].len() < LEAK_SAMPLES {
            samples[class].push(took);
        }
    }
    // What interrupts and other processes add falls on both alike and hides the rest; the slowest tenth is left out.
    let mut all: Vec<f64> = samples.concat();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    let of = |class: &[f64]| {
        let kept: Vec<f64> = class.iter().copied().filter(|took| *took <= most).collect();
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let variance = kept.iter().map(|took| (took - mean).powi(2)).sum::<f64>() / (kept.len() - 1) as f64;
        (mean, variance / kept.len() as f64)
    };
    let ((a, va), (b, vb)) = (of(&samples[0]), of(&samples[1]));
    (a - b).abs() / (va + vb).sqrt()
}

fn key_ring() -> KeyRing<4> {
    let spec = |at: u8| {
        let label = KeyLabel::new(["2026-11", "2026-10", "2026-09", "2026-08"][usize::from(at)]).unwrap();
        let secret: Vec<u8> = SECRET.iter().map(|byte| byte ^ at).collect();
        let secret = Secret::from_bytes(&secret).unwrap();
        if at == 3 { KeySpec::new(label, secret) } else { KeySpec::verify_only(label, secret) }
    };
    // The key that signs stands last, so that the search for it is as long as it gets.
    KeyRing::build(&[spec(0), spec(1), spec(2), spec(3)], Policy::new(), SecretPolicy::Production).unwrap()
}

fn claims(asset: &AssetRef) -> Claims {
    // The default profile: organisation and session, 55 bytes and 99 characters.
    Grant::playback(asset, ClassMask::HLS, 900)
        .rung_max(Rung::new(3).unwrap())
        .org(Org::new([1; 16]))
        .session(SessionId::new([2; 7]))
        .build(UnixSecs::new(1_800_000_000))
        .unwrap()
}

fn request(asset: &AssetRef, now: UnixSecs) -> Request<'static> {
    Request::new(asset, Artifact::new(ArtifactClass::Segment, ARTIFACT).on_rung(Rung::new(2).unwrap()), now)
}

/// A hundred entries of each kind, as after a busy day, with ids that look drawn by lot, as real ones do.
fn revoked() -> RevocationBuf {
    let mut list = RevocationBuf::new();
    let mut state = 7_u128;
    for _ in 0..100 {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x5851_f42d_4c95_7f2d);
        let bytes = (state ^ state >> 64).to_be_bytes();
        let session = *bytes.last_chunk::<7>().unwrap();
        let room = list.revoke_asset(AssetRef::uuid(bytes).key(), UnixSecs::new(1))
            && list.revoke_org(Org::new(bytes), UnixSecs::new(1))
            && list.end_session(SessionId::new(session), UnixSecs::new(1));
        assert!(room);
    }
    list
}

/// Candidates, measured in turns.
#[derive(Default)]
struct Table<'a> {
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    name: &'static str,
    work: Box<dyn FnMut() + 'a>,
    batch: u32,
    nanos: Vec<f64>,
    allocations: u64,
}

impl<'a> Table<'a> {
    fn add(&mut self, name: &'static str, work: impl FnMut() + 'a) {
        self.rows.push(Row { name, work: Box::new(work), batch: 1, nanos: Vec::new(), allocations: 0 });
    }

    /// Does one row `turns` times, or says which there are.
    fn turn(&mut self, name: &str, turns: u64) {
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => (0..turns).for_each(|_| (row.work)()),
            None => self.rows.iter().for_each(|row| println!("{}", row.name)),
        }
    }

    fn run(&mut self) {
        for row in &mut self.rows {
            (row.work)();
            let before = ALLOCATIONS.with(Cell::get);
            (row.work)();
            row.allocations = ALLOCATIONS.with(Cell::get) - before;
            while row.time() < BATCH_NANOS {
                row.batch *= 2;
            }
        }
        for _ in 0..ROUNDS {
            for row in &mut self.rows {
                let nanos = row.time() / f64::from(row.batch);
                row.nanos.push(nanos);
            }
        }
        for row in &mut self.rows {
            row.nanos.sort_by(f64::total_cmp);
        }
    }

    fn at(&self, name: &str) -> f64 {
        self.rows.iter().find(|row| row.name.starts_with(name)).map(|row| row.nanos[row.nanos.len() / 10]).unwrap()
    }

    fn print(&self) {
        let (unit, verify) = (self.at("two SHA-256"), self.at("rend-token: path"));
        println!("{:<38} {:>10} {:>8} {:>10} {:>8}", "p10 of CPU time", "ns", "x F2", "x verify", "allocs");
        for row in &self.rows {
            let nanos = self.at(row.name);
            let (units, ratio) = (nanos / unit, nanos / verify);
            println!("{:<38} {nanos:>10.1} {units:>8.2} {ratio:>10.2} {:>8}", row.name, row.allocations);
        }
        println!();
        let ours = self.rows.iter().filter(|row| row.name.starts_with("rend-token") || row.name.starts_with("reject"));
        let worst = self.rows.iter().filter(|row| row.name.starts_with("reject")).map(|row| self.at(row.name));
        let soft = option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("sha2_256_backend=\"soft\""));
        let most = |goal: &str, value: f64, limit: f64| {
            println!("{} {goal}: {value:.2}, at most {limit}", if value <= limit { "met   " } else { "MISSED" });
        };
        let least = |goal: &str, value: f64, limit: f64| {
            println!("{} {goal}: {value:.2}, at least {limit}", if value >= limit { "met   " } else { "MISSED" });
        };
        if soft {
            most("G8 whole verification without SHA instructions in F2", verify / unit, 1.7);
            return;
        }
        most("G1 whole verification in F2", verify / unit, 2.7);
        most("G1 whole verification in ns", verify, 290.0);
        most("G2 allocations", ours.map(|row| row.allocations).sum::<u64>() as f64, 0.0);
        least("G3 million verifications a second on a core", 1e3 / verify, 3.4);
        // Peers are asked about a request that is parsed already, and so are we.
        let alone = self.at("rend-token: verify");
        least("G4 beside JSON claims with an HMAC", self.at("JSON claims") / alone, 5.0);
        least("G4 beside jsonwebtoken HS256", self.at("jsonwebtoken") / alone, 11.0);
        least("G4 beside pasetors v4.local", self.at("pasetors") / alone, 22.0);
        least("G4 beside common-access-token", self.at("common-access-token") / alone, 22.0);
        least("G4 beside Ed25519 alone", self.at("ring: Ed25519") / alone, 160.0);
        least("G4 beside RSA-2048 alone", self.at("ring: RSA-2048") / alone, 80.0);
        least("G4 beside biscuit-auth", self.at("biscuit-auth") / alone, 380.0);
        most("G5 sign in F2", self.at("rend-token: sign") / unit, 2.1);
        most("G7 over-long in ns", self.at("reject: a megabyte"), 10.0);
        most("G7 wrong prefix in ns", self.at("reject: wrong prefix"), 10.0);
        most("G7 dearest refusal beside a good token", worst.fold(0.0, f64::max) / self.at("rend-token: verify"), 1.0);
    }
}

impl Row<'_> {
    /// The CPU time of a batch.
    fn time(&mut self) -> f64 {
        let start = cpu_nanos();
        for _ in 0..self.batch {
            (self.work)();
        }
        cpu_nanos() - start
    }
}

/// The one row to do, and how often: `--only ROW --turns NUMBER`.
fn only() -> Option<(String, u64)> {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1);
    Some((after("--only")?.clone(), after("--turns").and_then(|turns| turns.parse().ok()).unwrap_or(1)))
}

fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn wall_nanos() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

const ROUNDS: u32 = 300;
const LEAK_SAMPLES: usize = 1_000_000;
const BATCH_NANOS: f64 = 200_000.0;
const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
const ARTIFACT: &str = "hls/720p/segment_00001.m4s";
const SECRET: &[u8] = b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
