//! Whether the edge can do its work: looked at on its own clock, so that a slow disk or origin never slows a probe.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rend_core::time::{Clock, Mono};
use serde_json::{Value, json};

/// The last word of everything the edge depends on.
#[derive(Debug)]
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    cache: Option<Word>,
    origin: Option<Word>,
    control_plane: Option<Word>,
    draining: bool,
}

#[derive(Clone, Debug)]
struct Word {
    at: Mono,
    took: Duration,
    trouble: Option<&'static str>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// The cache folder: without it nothing is kept, so the edge is not ready.
    Cache,
    /// The origin: without it cached content still plays.
    Origin,
    /// The control plane: playback does not need it.
    ControlPlane,
}

impl Health {
    /// Nothing has been looked at yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, words: Mutex::default() }
    }

    /// Notes what came of looking at `subject`, begun at `started`.
    pub(crate) fn note(&self, subject: Subject, started: Mono, trouble: Option<&'static str>) {
        let at = self.clock.mono();
        let word = Some(Word { at, took: at.since(started), trouble });
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        match subject {
            Subject::Cache => words.cache = word,
            Subject::Origin => words.origin = word,
            Subject::ControlPlane => words.control_plane = word,
        }
    }

    /// From here on the edge is not ready: it finishes what it has.
    pub(crate) fn drain(&self) {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).draining = true;
    }

    /// Whether the edge is finishing what it has.
    pub(crate) fn is_draining(&self) -> bool {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).draining
    }

    /// Whether viewers may be sent here, and the report that says why.
    ///
    /// With the origin down but the cache sound the edge stays ready, in the mode `cached_content_only`.
    pub(crate) fn report(&self) -> (bool, Value) {
        let now = self.clock.mono();
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let sound = |word: &Option<Word>| {
            word.as_ref().is_some_and(|word| word.trouble.is_none() && now.since(word.at) <= WORD_AGE_MAX)
        };
        let ready = sound(&words.cache) && !words.draining;
        let check = |word: &Option<Word>| match word {
            None => json!({ "status": "unknown" }),
            Some(word) => json!({
                "status": match word.trouble {
                    Some(_) => "failing",
                    None if now.since(word.at) > WORD_AGE_MAX => "stale",
                    None => "ok",
                },
                "age_ms": millis(now.since(word.at)),
                "latency_ms": millis(word.took),
                "detail": word.trouble,
            }),
        };
        let report = json!({
            "status": if ready { "ready" } else { "not_ready" },
            "mode": match (words.draining, sound(&words.origin)) {
                (true, _) => "draining",
                (false, true) => "full",
                (false, false) => "cached_content_only",
            },
            "checks": {
                "cache": check(&words.cache),
                "origin": check(&words.origin),
                "control_plane": check(&words.control_plane),
            },
        });
        (ready, report)
    }
}

/// Looks whether `dir` can really be written: makes a file there, writes to it and removes it.
///
/// A folder whose owner has taken all its write bits away counts as read-only too, although root could still write.
///
/// # Errors
///
/// In the words of the report.
pub(crate) fn probe_folder(dir: &Path) -> Result<(), &'static str> {
    let trouble = |error: &io::Error| {
        let known = [
            (io::ErrorKind::ReadOnlyFilesystem, "the cache folder is on a read-only file system"),
            (io::ErrorKind::PermissionDenied, "the cache folder may not be written"),
            (io::ErrorKind::NotFound, "the cache folder is gone"),
        ];
        let found = known.into_iter().find(|(kind, _)| *kind == error.kind());
        found.map_or("the cache folder can not be written", |(_, words)| words)
    };
    let seen = fs::metadata(dir).map_err(|error| trouble(&error))?;
    if seen.permissions().readonly() {
        return Err("the cache folder is read-only");
    }
    let probe = dir.join(PROBE);
    let tried = fs::write(&probe, b"rend").and_then(|()| fs::remove_file(&probe));
    match tried {
        // A full disk is no fault of the folder: responses go on uncached, and eviction makes room.
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            let _ = fs::remove_file(&probe);
            Ok(())
        }
        Err(error) => Err(trouble(&error)),
        Ok(()) => Ok(()),
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// How often everything is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one look may take.
pub(crate) const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// An older word counts for nothing.
const WORD_AGE_MAX: Duration = Duration::from_secs(20);
const PROBE: &str = ".rend-probe";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn mono(&self) -> Mono {
            Mono::START
        }

        fn wall(&self) -> rend_core::time::Timestamp {
            rend_core::time::Timestamp::EPOCH
        }
    }

    #[track_caller]
    fn check(cache: Option<&'static str>, origin: Option<&'static str>, draining: bool, expect: (bool, &str)) {
        let health = Health::new(Arc::new(Stopped));
        health.note(Subject::Cache, Mono::START, cache);
        health.note(Subject::Origin, Mono::START, origin);
        if draining {
            health.drain();
        }
        let (ready, report) = health.report();
        assert_eq!((ready, report["mode"].as_str().unwrap()), expect, "{report}");
    }

    #[test]
    fn an_edge_without_its_origin_stays_ready_for_what_it_has() {
        check(None, None, false, (true, "full"));
        check(None, Some("away"), false, (true, "cached_content_only"));
        check(Some("read-only"), None, false, (false, "full"));
        check(None, None, true, (false, "draining"));
    }

    #[test]
    fn nothing_is_ready_before_it_was_looked_at() {
        assert!(!Health::new(Arc::new(Stopped)).report().0);
    }

    #[test]
    fn a_folder_without_write_bits_is_read_only_even_for_root() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        assert_eq!(probe_folder(dir.path()), Ok(()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the probe leaves nothing behind");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
        assert_eq!(probe_folder(dir.path()), Err("the cache folder is read-only"));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(probe_folder(&dir.path().join("gone")), Err("the cache folder is gone"));
    }
}
