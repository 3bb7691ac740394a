//! `rend token mint | inspect | verify | keys | revoke`.
//!
//! Keys come from the variables that the services read, or from the data folder of a `rend up`. No secret is ever printed,
//! and none is taken from the command line, where every user of the machine could read it; neither is a token.

use std::fs;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rend_core::artifact::ArtifactPath;
use rend_core::config::{Profile, Vars, env_text, profile_of};
use rend_core::time::{Clock, Timestamp};
use rend_shell::{ProcessVars, SystemClock, entropy};
use rend_token::inspect::inspect;
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Country, Grant, KeyRingBuf, Keys, Network, Org, Policy, Request,
    RingValues, Rung, SessionId, Signer, UnixSecs, Verifier,
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::client::{Api, Server};

#[derive(Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token with the key that signs, and print it alone
    Mint(Box<MintArgs>),
    /// Show what a token says of itself, without any check
    Inspect {
        /// A file with the token; standard input without one
        file: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say whether these keys would let a token in, orders to revoke aside: status 0 if so, 2 if not
    Verify(Box<VerifyArgs>),
    /// List the keys in force, without their secrets
    Keys {
        #[command(flatten)]
        keys: KeyArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have every edge of a running Rend refuse tokens by key, organisation, asset or session
    Revoke {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        what: WhatArgs,
        /// Only tokens issued before this RFC 3339 time
        #[arg(long)]
        issued_before: Option<String>,
    },
}

/// Where the keys are.
#[derive(Args)]
pub(crate) struct KeyArgs {
    /// An env file to read in place of the environment
    #[arg(long)]
    env_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct MintArgs {
    #[command(flatten)]
    keys: KeyArgs,
    /// The asset's id
    #[arg(long)]
    asset: String,
    /// A token to be exchanged on the master playlist within its life, at most 120 seconds
    #[arg(long)]
    bootstrap: bool,
    /// How long it works, in seconds [default: 900, for a bootstrap token 120]
    #[arg(long)]
    ttl: Option<u32>,
    /// What it opens: `player`, `hls`, `all`, or classes with commas between, such as `segment,init`
    #[arg(long, default_value = "player")]
    classes: String,
    /// The highest rung of the ladder that it opens
    #[arg(long)]
    rung_max: Option<u8>,
    /// The organisation's id
    #[arg(long)]
    org: Option<String>,
    /// The session: fourteen hexadecimal digits [default: drawn by lot]
    #[arg(long)]
    session: Option<String>,
    /// It may be renewed in steps of its life until so many seconds have passed
    #[arg(long)]
    renew_until: Option<u32>,
    /// It starts to work after so many seconds
    #[arg(long, default_value_t = 0)]
    starts_after: u32,
    /// Only for viewers in this network, such as `192.0.2.0/24`
    #[arg(long)]
    network: Option<String>,
    /// Only for viewers in these countries, such as `DE,US`
    #[arg(long, value_delimiter = ',')]
    countries: Vec<String>,
    /// Only for pages of this origin, such as `https://www.example.com`
    #[arg(long)]
    origin: Option<String>,
    /// Only for paths below this one, such as `hls/720p/`
    #[arg(long)]
    prefix: Option<String>,
    /// Print what it says as well, as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    keys: KeyArgs,
    /// The asset that is asked for
    #[arg(long)]
    asset: String,
    /// The artifact that is asked for
    #[arg(long, default_value = "hls/master.m3u8")]
    path: String,
    /// The moment of the request, as an RFC 3339 time [default: now]
    #[arg(long)]
    at: Option<String>,
    /// The viewer's address
    #[arg(long)]
    address: Option<IpAddr>,
    /// The viewer's country
    #[arg(long)]
    country: Option<String>,
    /// The page's origin
    #[arg(long)]
    origin: Option<String>,
    /// A file with the token; standard input without one
    file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Whose tokens: exactly one.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhatArgs {
    /// Those signed with this key
    #[arg(long)]
    key: Option<String>,
    /// Those of this organisation
    #[arg(long)]
    org: Option<String>,
    /// Those for this asset
    #[arg(long)]
    asset: Option<String>,
    /// Those of this viewing session
    #[arg(long)]
    session: Option<String>,
}

pub(crate) async fn token(verb: TokenVerb) -> Outcome {
    match verb {
        TokenVerb::Mint(args) => mint(&args),
        TokenVerb::Inspect { file, json } => show(file.as_deref(), json),
        TokenVerb::Verify(args) => verify(&args),
        TokenVerb::Keys { keys, json } => list(&keys, json),
        TokenVerb::Revoke { server, what, issued_before } => revoke(&server, &what, issued_before.as_deref()).await,
    }
}

fn mint(args: &MintArgs) -> Outcome {
    let ring = args.keys.ring()?;
    let asset = asset(&args.asset)?;
    let classes = classes(&args.classes)?;
    let ttl = args.ttl.unwrap_or(if args.bootstrap { 120 } else { 900 });
    let session = args.session.as_deref().map_or_else(|| Ok(entropy()), session)?;
    let mut grant =
        if args.bootstrap { Grant::bootstrap(&asset, classes, ttl) } else { Grant::playback(&asset, classes, ttl) };
    grant = grant.session(SessionId::new(session)).starts_after(args.starts_after);
    if let Some(index) = args.rung_max {
        grant = grant.rung_max(Rung::new(index).ok_or("--rung-max is 0 to 14")?);
    }
    if let Some(org) = &args.org {
        let org: rend_core::id::OrgId = org.parse().map_err(|_| format!("--org `{org}` is no organisation's id"))?;
        grant = grant.org(Org::new(*org.as_bytes()));
    }
    if let Some(horizon) = args.renew_until {
        grant = grant.renewable(ttl.min(u32::from(u16::MAX)), horizon);
    }
    if let Some(text) = &args.network {
        let wrong = || format!("--network `{text}` is no network such as 192.0.2.0/24, at most /64 for IPv6");
        let (address, len) = text.split_once('/').ok_or_else(wrong)?;
        let (address, len) = (address.parse().map_err(|_| wrong())?, len.parse().map_err(|_| wrong())?);
        grant = grant.network(Network::of(address, len).ok_or_else(wrong)?);
    }
    let countries: Result<Vec<_>, String> = args.countries.iter().map(|code| country(code)).collect();
    let countries = countries?;
    grant = grant.countries(&countries);
    if let Some(origin) = &args.origin {
        grant = grant.origin(origin);
    }
    if let Some(prefix) = &args.prefix {
        grant = grant.path_prefix(prefix);
    }
    let claims = grant.build(now()).map_err(|e| format!("there can be no such token: {e}"))?;
    let token = Signer::new(&ring).sign(&claims).map_err(|e| format!("the token could not be signed: {e}"))?;
    if args.json {
        let said = inspect(token.as_bytes()).map(|said| fields(&said.to_string())).unwrap_or_default();
        let mut said = Value::Object(said);
        said["token"] = token.as_str().into();
        // Made here with a key of ours, so for once it is more than a claim.
        said["verified"] = true.into();
        println!("{said:#}");
    } else {
        println!("{}", token.as_str());
    }
    Ok(ExitCode::SUCCESS)
}

fn show(file: Option<&Path>, json: bool) -> Outcome {
    let token = read(file)?;
    let Some(said) = inspect(&token) else {
        return Err("this has not the shape of a playback token, which begins with `rt1.`".into());
    };
    eprintln!("NOT VERIFIED: anybody can write a text that says this. `rend token verify` checks one.");
    if json {
        println!("{:#}", Value::Object(fields(&said.to_string())));
    } else {
        print!("{said}");
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> Outcome {
    let ring = args.keys.ring()?;
    let asset = asset(&args.asset)?;
    let path: ArtifactPath =
        args.path.parse().map_err(|_| format!("--path `{}` is no artifact, such as hls/master.m3u8", args.path))?;
    let at = match &args.at {
        None => now(),
        Some(text) => {
            let at: Timestamp = text.parse().map_err(|_| format!("--at `{text}` is no RFC 3339 time"))?;
            UnixSecs::try_from(at.as_secs()).map_err(|e| format!("--at `{text}` is {e}"))?
        }
    };
    let token = read(args.file.as_deref())?;
    let mut request = Request::new(&asset, artifact(&path, &args.path), at);
    if let Some(address) = args.address {
        request = request.address(address);
    }
    if let Some(code) = &args.country {
        request = request.country(country(code)?);
    }
    if let Some(origin) = &args.origin {
        request = request.origin(origin.as_bytes());
    }
    // As an edge does it: a bootstrap token is taken on the master playlist alone.
    let playback = Verifier::playback(&ring).verify(&token, &request);
    let verified = playback.or_else(|denied| match (denied.reason(), path) {
        (rend_token::Reason::Suite, ArtifactPath::Master) => Verifier::bootstrap(&ring).verify(&token, &request),
        _ => Err(denied),
    });
    match verified {
        Ok(verified) => {
            let claims = verified.claims();
            let label =
                ring.entries().iter().find(|key| key.kid() == verified.kid()).map(|key| key.label().to_string());
            let left = claims.expires_at().since(at);
            if args.json {
                let said = json!({
                    "verified": true, "key": label, "use": claims.purpose().as_str(),
                    "expires_at": claims.expires_at().get(), "seconds_left": left,
                    "deadline": claims.deadline().map(UnixSecs::get),
                });
                println!("{said:#}");
            } else {
                println!("good for {left} s: {} token, key {}", claims.purpose().as_str(), label.unwrap_or_default());
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(denied) => {
            let reason = denied.reason().as_str();
            if args.json {
                println!("{:#}", json!({ "verified": false, "reason": reason }));
            } else {
                println!("refused: {reason}");
            }
            Ok(ExitCode::from(REFUSED))
        }
    }
}

fn list(args: &KeyArgs, json: bool) -> Outcome {
    let (ring, now) = (args.ring()?, now());
    let mut rows = Vec::new();
    for key in ring.entries() {
        let duty = match (key.is_revoked(), key.signs_at(now), key.verifies_at(now)) {
            (true, _, _) => "revoked",
            (false, true, _) => "signs and verifies",
            (false, false, true) => "verifies",
            (false, false, false) => "rests",
        };
        if json {
            rows.push(json!({
                "label": key.label().as_str(), "kid": key.kid().to_string(), "signs": key.signs_at(now),
                "verifies": key.verifies_at(now),
            }));
        } else {
            println!("{}  {duty:<18}  {}", key.kid(), key.label());
        }
    }
    if json {
        println!("{:#}", Value::Array(rows));
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(server: &Server, what: &WhatArgs, issued_before: Option<&str>) -> Outcome {
    let mut wish = Map::new();
    for (kind, subject) in [("key", &what.key), ("org", &what.org), ("asset", &what.asset), ("session", &what.session)]
    {
        wish.extend(subject.as_ref().map(|subject| (kind.to_owned(), subject.as_str().into())));
    }
    wish.extend(issued_before.map(|at| ("issued_before".to_owned(), at.into())));
    let api = Api::of(server)?;
    let order = api.json(api.request(Method::POST, "/v1/revocations").json(&wish)).await?;
    let (asked, told) = (&order["edges"]["asked"], &order["edges"]["told"]);
    println!("order {}: {told} of {asked} edges refuse them now, the others after their next heartbeat", order["seq"]);
    Ok(ExitCode::SUCCESS)
}

impl KeyArgs {
    /// The ring that the env file, the environment or the data folder describes, in this order.
    fn ring(&self) -> Result<KeyRingBuf, String> {
        let file = |path: &Path| {
            let text = fs::read_to_string(path).map_err(|e| format!("{} can not be read: {e}", path.display()))?;
            env_text(&text).map_err(|e| format!("{}: {e}", path.display()))
        };
        let own = crate::default_data_dir().join("secrets.env");
        let vars: Box<dyn Vars> = match &self.env_file {
            Some(path) => Box::new(file(path)?),
            None if ProcessVars.get(SIGNING_SECRET).is_none() && own.exists() => Box::new(file(&own)?),
            None => Box::new(ProcessVars),
        };
        let get = |name: &str| vars.get(name);
        let (label, secret, others) = (get(SIGNING_LABEL), get(SIGNING_SECRET), get(VERIFY_KEYS));
        let values = RingValues {
            signing_label: label.as_deref(),
            signing_secret: secret.as_deref(),
            verify_keys: others.as_deref(),
            production: profile_of(vars.as_ref()) == Profile::Production,
        };
        KeyRingBuf::from_values(&values, Policy::new()).map_err(|problems| problems.to_string())
    }
}

/// The token in `file`, or on standard input.
pub(crate) fn read(file: Option<&Path>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match file {
        Some(path) => {
            let name = path.to_string_lossy();
            if name.starts_with("rt1.") {
                // Not said again: it may be in nobody's history but the shell's.
                return Err(
                    "give the token on standard input or in a file; arguments can be read by other users".into()
                );
            }
            let source = fs::File::open(path).map_err(|e| format!("{} can not be read: {e}", path.display()))?;
            source.take(TOKEN_FILE_BYTES_MAX).read_to_end(&mut bytes)
        }
        None => {
            let mut hint = std::io::stderr();
            if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
                let _ = writeln!(hint, "paste the token, then press Enter and Ctrl-D");
            }
            std::io::stdin().take(TOKEN_FILE_BYTES_MAX).read_to_end(&mut bytes)
        }
    }
    .map_err(|e| format!("the token can not be read: {e}"))?;
    Ok(bytes.trim_ascii().to_vec())
}

/// The lines `name: value` as JSON, numbers as numbers.
fn fields(lines: &str) -> Map<String, Value> {
    let value = |text: &str| match text {
        "no" => Value::Bool(false),
        text => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
    };
    lines.lines().filter_map(|line| line.split_once(": ")).map(|(name, text)| (name.to_owned(), value(text))).collect()
}

fn asset(text: &str) -> Result<AssetRef, String> {
    AssetRef::parse(text).map_err(|e| format!("--asset `{text}` is {e}"))
}

fn country(code: &str) -> Result<Country, String> {
    Country::new(code).ok_or_else(|| format!("`{code}` is no country's two upper-case letters"))
}

fn session(text: &str) -> Result<[u8; 7], String> {
    match rend_core::fleet::Revoked::parse("session", text) {
        Ok(rend_core::fleet::Revoked::Session(bytes)) => Ok(bytes),
        _ => Err(format!("--session `{text}` is not fourteen lower-case hexadecimal digits")),
    }
}

fn classes(text: &str) -> Result<ClassMask, String> {
    match text {
        "player" => return Ok(ClassMask::PLAYER),
        "hls" => return Ok(ClassMask::HLS),
        "all" => return Ok(ClassMask::ALL),
        _ => {}
    }
    text.split(',').try_fold(ClassMask::NONE, |mask, word| {
        let known = ArtifactClass::ALL.into_iter().find(|class| class.as_str() == word);
        known.map(|class| mask.with(class)).ok_or_else(|| {
            let names: Vec<_> = ArtifactClass::ALL.iter().map(|class| class.as_str()).collect();
            format!("--classes `{word}` is none of player, hls, all, {}", names.join(", "))
        })
    })
}

/// The path as an edge sees it.
fn artifact<'a>(path: &ArtifactPath, name: &'a str) -> Artifact<'a> {
    rend_edge::artifact_of(path, name)
}

fn now() -> UnixSecs {
    UnixSecs::try_from(SystemClock::start().wall().as_secs()).unwrap_or(UnixSecs::MAX)
}

/// The status of a token that is refused.
const REFUSED: u8 = 2;
/// Bytes that are read where a token is expected.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;
const SIGNING_LABEL: &str = "REND_PLAYBACK_SIGNING_KEY_ID";
const SIGNING_SECRET: &str = "REND_PLAYBACK_SIGNING_SECRET";
const VERIFY_KEYS: &str = "REND_PLAYBACK_VERIFY_KEYS";
