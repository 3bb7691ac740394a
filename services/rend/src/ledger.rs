//! `rend ledger`: what edges' own records come to, without asking anybody who bills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::config::{Role, check, profile_of, variable as v};
use rend_core::id::AssetId;
use rend_core::media::playlist::{Master, Media};
use rend_core::metering::{Bill, Counted, Line, Meter};
use rend_core::usage::Lengths;
use rend_shell::ProcessVars;
use rend_storage::StoreError;
use rend_storage::fs::FsObjects;
use rend_storage::objects::ObjectStore;
use rend_storage::s3::{S3Config, S3Objects};
use rend_telemetry::spool::segment::{self, End, Frame};
use rend_telemetry::wire;
use serde::{Deserialize, Serialize};

use crate::Outcome;

#[derive(Subcommand)]
pub(crate) enum LedgerVerb {
    /// Recompute delivered minutes from the files of a spool, and compare them with a bill
    Verify(VerifyArgs),
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The spool, or a copy of it; several times for several edges
    #[arg(long, required = true)]
    spool: Vec<PathBuf>,
    /// The folder of objects, whose playlists say how long segments are. Without it, what `REND_OBJECT_STORE_DIR` or
    /// `S3_ENDPOINT` name, else the objects of `rend up`
    #[arg(long)]
    objects: Option<PathBuf>,
    /// A bill to compare with: lines as `--json` prints them, or as `rend usage --json` does
    #[arg(long)]
    bill: Option<PathBuf>,
    /// One JSON line an owner, tier and hour
    #[arg(long)]
    json: bool,
}

pub(crate) async fn ledger(verb: LedgerVerb) -> Outcome {
    match verb {
        LedgerVerb::Verify(args) => verify(args).await,
    }
}

async fn verify(args: VerifyArgs) -> Outcome {
    let mut meter = Meter::default();
    let mut seen = Seen::default();
    for spool in &args.spool {
        seen.read(spool, &mut meter)?;
    }
    let lengths = lengths(objects(args.objects.as_deref())?.as_ref(), &seen.renditions).await?;
    let bill = meter.bill(|asset, rendition, index| lengths.get(&(asset, rendition))?.segment(index));
    let lines: Vec<LineJson> = bill.lines.iter().map(|(line, micros)| LineJson::new(line, *micros)).collect();
    for line in &lines {
        if args.json {
            println!("{}", serde_json::to_string(line).map_err(|e| e.to_string())?);
        } else {
            println!(
                "{}  {:<10} {:>14} ms  {}",
                line.hour,
                line.tier,
                line.delivered_ms,
                line.org.as_deref().unwrap_or("-")
            );
        }
    }
    let mut good = seen.tell(&bill);
    if let Some(path) = &args.bill {
        let differences = differences(&lines, &read_bill(path)?);
        good &= differences.is_empty();
        for difference in &differences {
            eprintln!("WRONG  {difference}");
        }
        if differences.is_empty() {
            eprintln!("ok     the bill says the same");
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line of a bill.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
struct LineJson {
    hour: String,
    org: Option<String>,
    tier: String,
    delivered_ms: u64,
}

impl LineJson {
    fn new(line: &Line, micros: u64) -> Self {
        Self {
            hour: line.hour.to_string(),
            org: line.org.map(|org| org.to_string()),
            tier: line.tier.as_str().to_owned(),
            delivered_ms: micros / 1000,
        }
    }
}

/// What stood in the files beside records that count.
#[derive(Default)]
struct Seen {
    files: u64,
    records: u64,
    repeated: u64,
    torn: Vec<String>,
    bad: u64,
    lost: BTreeMap<([u8; 8], String), u64>,
    renditions: BTreeMap<AssetId, Vec<Rendition>>,
    is_full: bool,
}

impl Seen {
    fn read(&mut self, spool: &Path, meter: &mut Meter) -> Result<(), String> {
        let failed = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(spool).map_err(|e| failed(spool, e))? {
            paths.push(entry.map_err(|e| failed(spool, e))?.path());
        }
        paths.sort();
        for path in paths {
            let kind = path.extension().and_then(|extension| extension.to_str());
            if !matches!(kind, Some("seg" | "ledger")) {
                continue;
            }
            self.files += 1;
            let bytes = std::fs::read(&path).map_err(|e| failed(&path, e))?;
            let content = segment::read(&bytes);
            if content.end != End::Whole {
                self.torn.push(format!(
                    "{}: {} of {} bytes are whole",
                    path.display(),
                    content.good_bytes,
                    bytes.len()
                ));
            }
            self.take(content.frames, meter);
        }
        Ok(())
    }

    fn take(&mut self, frames: Vec<Frame>, meter: &mut Meter) {
        let mut run = None;
        for frame in frames {
            match frame {
                Frame::Header { boot, node } => run = Some((boot, node)),
                Frame::Event(payload) => {
                    let Some(event) =
                        run.as_ref().and_then(|(boot, node)| wire::decode_event(&payload, *boot, node).ok())
                    else {
                        self.bad += 1;
                        continue;
                    };
                    self.records += 1;
                    match meter.add(&event) {
                        Counted::Delivered => {
                            let known = self.renditions.entry(event.asset).or_default();
                            if let ArtifactPath::Segment { rendition, .. } = event.path
                                && !known.contains(&rendition)
                            {
                                known.push(rendition);
                            }
                        }
                        Counted::Repeated => self.repeated += 1,
                        Counted::Free => {}
                        Counted::Full => self.is_full = true,
                    }
                }
                Frame::Dropped { boot, node, total, .. } => {
                    let lost = self.lost.entry((boot, node.to_string())).or_default();
                    *lost = (*lost).max(total);
                }
                Frame::Acked { .. } => {}
            }
        }
    }

    /// Says what was read and what is missing from it, and answers whether nothing is.
    fn tell(&self, bill: &Bill) -> bool {
        eprintln!("{} records in {} files, {} of them repeated", self.records, self.files, self.repeated);
        for torn in &self.torn {
            eprintln!("WRONG  {torn}");
        }
        if self.bad > 0 {
            eprintln!("WRONG  {} records cannot be read", self.bad);
        }
        if self.is_full {
            eprintln!("WRONG  there are more records than can be taken in at once; verify fewer spools together");
        }
        for ((_, node), lost) in self.lost.iter().filter(|(_, lost)| **lost > 0) {
            eprintln!("WRONG  {node} lost {lost} records before it could keep them: these minutes are too few");
        }
        for ((asset, rendition), times) in &bill.unknown {
            eprintln!(
                "WRONG  {times} segments of {asset} {rendition} have no known length: no playlist, or no object length"
            );
        }
        let complete =
            self.torn.is_empty() && self.bad == 0 && !self.is_full && self.lost.values().all(|lost| *lost == 0);
        complete && bill.unknown.is_empty()
    }
}

/// Tier and lengths of segments, by rendition.
type Known = BTreeMap<(AssetId, Rendition), Lengths>;

/// What the playlists say of renditions; of one without, nothing.
async fn lengths(objects: &dyn ObjectStore, wanted: &BTreeMap<AssetId, Vec<Rendition>>) -> Result<Known, String> {
    let mut lengths = Known::new();
    for (asset, renditions) in wanted {
        let master = text(objects, *asset, ArtifactPath::Master).await?.and_then(|text| text.parse::<Master>().ok());
        for rendition in renditions {
            let list = text(objects, *asset, ArtifactPath::Variant(*rendition)).await?;
            let Some(list) = list.and_then(|text| text.parse::<Media>().ok()) else { continue };
            if let Some(said) = Lengths::of(*rendition, master.as_ref(), &list) {
                lengths.insert((*asset, *rendition), said);
            }
        }
    }
    Ok(lengths)
}

async fn text(objects: &dyn ObjectStore, asset: AssetId, path: ArtifactPath) -> Result<Option<String>, String> {
    let object = match objects.get(&ObjectKey::artifact(asset, path), Some(0..PLAYLIST_BYTES_MAX)).await {
        Ok(object) => object,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(format!("the playlists cannot be read: {error}")),
    };
    let mut body = object.body;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.map_err(|error| format!("the playlists cannot be read: {error}"))?);
    }
    Ok(String::from_utf8(bytes).ok())
}

fn objects(folder: Option<&Path>) -> Result<Arc<dyn ObjectStore>, String> {
    let (settings, _) = check(Role::Up, profile_of(&ProcessVars), false, &ProcessVars);
    let named = folder.or_else(|| settings.path(&v::REND_OBJECT_STORE_DIR));
    if named.is_none()
        && let Some(config) = S3Config::from_settings(&settings)
    {
        return Ok(Arc::new(S3Objects::new(&config).map_err(|e| e.to_string())?));
    }
    let folder = named.map_or_else(|| crate::default_data_dir().join("objects"), Path::to_path_buf);
    if !folder.is_dir() {
        return Err(format!("{} is no folder of objects; name it with --objects", folder.display()));
    }
    FsObjects::open(&folder).map(|objects| Arc::new(objects) as _).map_err(|e| format!("{}: {e}", folder.display()))
}

fn read_bill(path: &Path) -> Result<Vec<LineJson>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(n, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| format!("{}, line {}: {e}", path.display(), n + 1))
    };
    lines.map(read).collect()
}

/// Where a bill differs from what was recomputed. Lines of one owner, tier and hour add up, as corrections do.
fn differences(found: &[LineJson], billed: &[LineJson]) -> Vec<String> {
    let mut both = BTreeMap::<_, (u128, u128)>::new();
    let name = |line: &LineJson| (line.hour.clone(), line.tier.clone(), line.org.clone());
    for line in found {
        both.entry(name(line)).or_default().0 += u128::from(line.delivered_ms);
    }
    for line in billed {
        both.entry(name(line)).or_default().1 += u128::from(line.delivered_ms);
    }
    let differing = both.into_iter().filter(|(_, (found, billed))| found != billed);
    let said = |((hour, tier, org), (found, billed)): ((String, String, Option<String>), (u128, u128))| {
        format!("{hour} {tier} {}: delivered {found} ms, billed {billed} ms", org.as_deref().unwrap_or("-"))
    };
    differing.map(said).collect()
}

/// Bytes of a playlist that are read.
const PLAYLIST_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tier: &str, delivered_ms: u64) -> LineJson {
        LineJson { hour: "2027-01-15T08:00:00.000Z".into(), org: None, tier: tier.into(), delivered_ms }
    }

    #[test]
    fn a_bill_is_right_when_its_lines_add_up_to_what_was_delivered() {
        let found = [line("720p", 1000), line("1080p", 5)];
        assert!(differences(&found, &[line("720p", 400), line("1080p", 5), line("720p", 600)]).is_empty());
        let wrong = differences(&found, &[line("720p", 1001), line("4k", 1)]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong.iter().any(|said| said.contains("delivered 1000 ms, billed 1001 ms")), "{wrong:?}");
    }
}
