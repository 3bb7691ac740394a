//! The gate on two edges: it passes when all is well, and names the edge and the step when one is not.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fleet::{EDGES, Fleet, Second, failed_steps, pause};

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn the_gate_passes_on_two_edges_over_real_servers() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path(), &Second::default());
    let (good, report) = fleet.gate();
    assert!(good && failed_steps(&report).is_empty(), "{report}\n{}", fleet.logs());
    assert_eq!(report["target"], "local-two-edge");
    expect_no_secrets("a log", &fleet.logs());
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn edges_that_are_named_by_hand_are_judged_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path(), &Second::default());
    let named = |n: usize| format!("{}=anywhere={}={}", EDGES[n], fleet.edges[n], fleet.private[n + 2]);
    let (first, both) = (named(0), format!("{},{}", named(0), named(1)));
    let (good, report) = fleet.gate_of(&both);
    assert!(good && failed_steps(&report).is_empty(), "{report}\n{}", fleet.logs());
    assert_eq!(report["target"], "configured");
    fleet.kill(EDGES[1]);
    let (good, report) = fleet.gate_of(&both);
    assert!(!good);
    assert_eq!(failed_steps(&report), ["ready"], "{report}");
    assert!(report["reasons"].to_string().contains("edge ams-1: nothing answers"), "{report}");
    // Whoever names the other alone is told of the other alone.
    let (good, report) = fleet.gate_of(&first);
    assert!(good, "{report}\n{}", fleet.logs());
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn an_edge_that_is_down_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path(), &Second::default());
    fleet.kill("ams-1");
    let (good, report) = fleet.gate();
    assert!(!good);
    assert_eq!(failed_steps(&report), ["ready"], "{report}");
    assert!(report["reasons"].to_string().contains("edge ams-1: nothing answers"), "{report}");
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn an_edge_with_another_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Some("0123456789-another-secret-for-one-edge-alone-abcdef");
    let fleet = Fleet::start(folder.path(), &Second { secret, ..Second::default() });
    let (good, report) = fleet.gate();
    assert!(!good);
    assert!(failed_steps(&report).contains(&"edge_miss_hit".to_owned()), "{report}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("edge ams-1") && !reasons.contains("edge ash-1"), "{report}");
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn an_edge_whose_clock_is_ten_minutes_off_is_named() {
    for off in ["-600s", "+600s"] {
        let folder = tempfile::tempdir().unwrap();
        let under = vec!["faketime", "-f", off];
        let fleet = Fleet::start(folder.path(), &Second { under, ..Second::default() });
        let (good, report) = fleet.gate();
        assert!(!good, "{report}");
        assert_eq!(failed_steps(&report), ["ready"], "{report}");
        assert!(report["reasons"].to_string().contains("edge ams-1: its clock is off by"), "{report}");
    }
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn an_edge_whose_disk_is_full_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::small(&folder.path().join("small"));
    let fleet = Fleet::start(folder.path(), &Second { cache: Some(disk.0.join("cache")), ..Second::default() });
    disk.fill();
    // What an edge knows of its disk is sampled.
    let (mut good, mut report) = fleet.gate();
    for _ in 0..5 {
        if !good {
            break;
        }
        pause();
        (good, report) = fleet.gate();
    }
    assert!(!good, "{report}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("edge ams-1") && !reasons.contains("edge ash-1"), "{report}");
}

/// The one that a whole run is looked at with stands in `secrets`; this one costs nothing, and every report passes it.
pub(crate) fn expect_no_secrets(place: &str, text: &str) {
    for secret in
        ["edge-token-for-these", "telemetry-token-for", "a-secret-for-these", "rend_live", "rt1.", "127.0.0.1"]
    {
        assert!(
            !text.contains(secret) || (place == "a log" && secret == "127.0.0.1"),
            "{secret} stands in {place}: {text}"
        );
    }
}

/// A file system of a few mebibytes.
struct Disk(std::path::PathBuf);

impl Disk {
    fn small(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder).status().unwrap();
        assert!(mounted.success(), "this test needs the right to mount");
        Self(folder.to_path_buf())
    }

    fn fill(&self) {
        let written = fs::write(self.0.join("fill"), vec![0; 4 << 20]);
        assert!(written.is_err(), "the disk is small");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
