//! What must hold of a fleet, over many seeds.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use rend_sim::Report;
use rend_sim::scenario::{self, NAMES};

#[track_caller]
fn check(name: &str, seed: u64) -> Report {
    let report = scenario::run(name, seed).unwrap();
    let tail = report.trace.iter().rev().take(25).rev().cloned().collect::<Vec<_>>().join("\n");
    let again = format!("cargo run -p rend-sim -- --scenario {name} --seed {seed}");
    assert!(report.violations.is_empty(), "{:#?}\n{tail}\n{again}", report.violations);
    report
}

/// Runs many seeds, and answers how much work they saw: a scenario in which nothing happens would prove nothing.
fn many(name: &str, seeds: std::ops::Range<u64>) -> (u64, u64, u64) {
    let sum = |(a, b, c): (u64, u64, u64), (d, e, f): (u64, u64, u64)| (a + d, b + e, c + f);
    let told = |report: Report| (report.delivered, report.jobs, report.purges);
    seeds.map(|seed| told(check(name, seed))).fold((0, 0, 0), sum)
}

#[test]
fn every_edge_plays_again_once_faults_end() {
    let (_, _, purges) = many("fleet", 0..120);
    assert!(purges > 500, "{purges}");
}

#[test]
fn nothing_is_served_from_before_a_fence() {
    let (delivered, _, purges) = many("purge", 0..100);
    assert!(delivered > 10_000 && purges > 3000, "{delivered} {purges}");
}

#[test]
fn an_origin_that_stalls_and_miscounts_never_makes_a_body_whole_and_a_purge_between_any_two_steps_holds() {
    let (mut delivered, mut purges, mut stored) = (0, 0, 0);
    for seed in 0..80 {
        let report = check("fills", seed);
        (delivered, purges, stored) = (delivered + report.delivered, purges + report.purges, stored + report.stored);
    }
    assert!(delivered > 20_000 && purges > 3000 && stored > 3000, "{delivered} {purges} {stored}");
}

#[test]
fn the_account_of_what_was_served_adds_up_over_every_crash() {
    let (delivered, _, _) = many("telemetry", 0..100);
    assert!(delivered > 20_000, "{delivered}");
}

#[test]
fn a_job_is_finished_once_and_by_the_lease_that_holds() {
    let (_, jobs, _) = many("jobs", 0..120);
    assert!(jobs > 2000, "{jobs}");
}

#[test]
fn all_of_it_holds_at_once() {
    let (delivered, jobs, purges) = many("everything", 0..60);
    assert!(delivered > 3000 && jobs > 500 && purges > 800, "{delivered} {jobs} {purges}");
}

#[test]
fn a_seed_replays() {
    for name in NAMES {
        let report = |seed| scenario::run(name, seed).unwrap();
        assert!(report(7) == report(7), "{name}");
        assert!(report(7).trace != report(8).trace, "{name}");
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    for line in include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        check(words.next().unwrap(), words.next().unwrap().parse().unwrap());
    }
}
