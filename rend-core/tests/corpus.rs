//! Replays the corpus of this crate's fuzz targets with the stable toolchain, so that every counterexample stays found.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use rend_core::artifact::ArtifactPath;
use rend_core::config::{Profile, Role, check, env_line, env_text};
use rend_core::fleet::ExpectedEdges;

/// Calls `property` with each text of the target's corpus, and answers how many there were.
fn replay(target: &str, property: impl Fn(&str)) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        property(&String::from_utf8_lossy(&bytes));
        count += 1;
    }
    count
}

#[test]
fn every_artifact_path_of_the_corpus_prints_as_it_was_read() {
    let count = replay("artifact_path", |text| {
        if let Ok(path) = text.parse::<ArtifactPath>() {
            assert_eq!(path.to_string(), text);
        }
    });
    assert!(count >= 10, "{count}");
}

#[test]
fn every_list_of_edges_of_the_corpus_reads_back() {
    let count = replay("expected_edges", |text| {
        if let Ok(edges) = text.parse::<ExpectedEdges>() {
            assert_eq!(edges.to_string().parse::<ExpectedEdges>().unwrap(), edges);
        }
    });
    assert!(count >= 5, "{count}");
}

#[test]
fn every_env_file_of_the_corpus_is_read_or_refused_and_checked_whole() {
    let count = replay("env_text", |text| {
        let Ok(vars) = env_text(text) else { return };
        let lines: Vec<_> = vars.iter().map(|(name, value)| env_line(name, value)).collect();
        assert_eq!(env_text(&lines.join("\n")).unwrap(), vars);
        let (_, problems) = check(Role::All, Profile::Production, false, &vars);
        assert!(problems.is_fatal(), "no file of the corpus is fit for production");
    });
    assert!(count >= 4, "{count}");
}

#[test]
fn every_upload_header_of_the_corpus_reads_back() {
    let count = replay("tus_headers", rend_core::upload::tus::headers_read_back);
    assert!(count >= 10, "{count}");
}

/// What `property` answers to the bytes of each file of the target's corpus.
fn replay_bytes(target: &str, property: impl Fn(&[u8]) -> usize) -> Vec<usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    fs::read_dir(folder).unwrap().map(|entry| property(&fs::read(entry.unwrap().path()).unwrap())).collect()
}

#[test]
fn every_upload_of_the_corpus_holds() {
    let things = replay_bytes("tus", rend_core::upload::transfers_hold);
    assert!(things.iter().filter(|count| **count >= 5).count() >= 8, "something happens in each: {things:?}");
}

#[test]
fn every_plan_of_the_corpus_holds() {
    let segments = replay_bytes("planner", rend_core::media::plan::plans_hold);
    assert!(segments.iter().filter(|count| **count > 0).count() >= 5, "most of the corpus is planned: {segments:?}");
}
