//! What is remembered of an upload between two runs of the command.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rend_core::config::Vars;
use rend_shell::ProcessVars;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long an upload that was not gone on with is remembered. The server forgets it sooner.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Files that are looked at for their age; the rest is for the next run.
const LOOKED_AT_MAX: usize = 1000;

/// One upload that was begun, or is about to be.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Entry {
    /// The name that the upload is begun under, so that beginning it twice begins one.
    pub(super) key: String,
    /// Where it is, once the server said so.
    pub(super) path: Option<String>,
    /// What was answered for each part that went past the API.
    #[serde(default)]
    pub(super) parts: BTreeMap<u32, String>,
}

impl Entry {
    /// One that nobody has heard of.
    pub(super) fn new() -> Self {
        let key: String = rend_shell::entropy::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key, path: None, parts: BTreeMap::new() }
    }
}

/// The file in which one upload is remembered.
pub(super) struct Ledger(PathBuf);

impl Ledger {
    /// The file for what `identity` names, in a folder beside what this command knows of its server.
    pub(super) fn open(identity: &str) -> Result<Self, String> {
        Self::in_folder(&folder(), identity)
    }

    fn in_folder(folder: &Path, identity: &str) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        sweep(folder);
        let name: String = Sha256::digest(identity.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(folder.join(format!("{name}.json"))))
    }

    /// What is remembered, if it can be read.
    pub(super) fn read(&self) -> Option<Entry> {
        serde_json::from_slice(&fs::read(&self.0).ok()?).ok()
    }

    /// Remembers `entry`, as a whole or not at all.
    pub(super) fn write(&self, entry: &Entry) -> Result<(), String> {
        let fault = |e: std::io::Error| format!("{}: {e}", self.0.display());
        let text = serde_json::to_vec(entry).map_err(|e| e.to_string())?;
        let temp = self.0.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp).map_err(fault)?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(fault)?;
        fs::rename(&temp, &self.0).map_err(fault)
    }

    /// The upload has come to its end.
    pub(super) fn forget(&self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Beside the data of the Rend on this machine, or where programs keep their state.
fn folder() -> PathBuf {
    let data = crate::default_data_dir();
    if data.is_dir() {
        return data.join("uploads");
    }
    let home = || ProcessVars.get("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = ProcessVars.get("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    state.map_or_else(|| data.join("uploads"), |state| state.join("rend/uploads"))
}

fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.take(LOOKED_AT_MAX).flatten() {
        let changed = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        if changed.elapsed().is_ok_and(|age| age > KEPT_FOR) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_remembered_by_what_it_is_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_folder(folder.path(), "a").unwrap();
        assert_eq!(ledger.read(), None);
        let entry = Entry { path: Some("/v1/uploads/x".into()), ..Entry::new() };
        ledger.write(&entry).unwrap();
        assert_eq!(Ledger::in_folder(folder.path(), "a").unwrap().read(), Some(entry));
        assert_eq!(Ledger::in_folder(folder.path(), "b").unwrap().read(), None);
        ledger.forget();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_damaged_counts_as_nothing_and_what_is_old_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_folder(folder.path(), "a").unwrap();
        fs::write(&ledger.0, b"{").unwrap();
        assert_eq!(ledger.read(), None);
        let file = fs::File::options().write(true).open(&ledger.0).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        Ledger::in_folder(folder.path(), "b").unwrap();
        assert!(!ledger.0.exists());
    }
}
