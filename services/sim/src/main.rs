//! Runs one seed and shows what happened.
#![expect(clippy::print_stdout, reason = "it is a tool that talks to a developer")]

use std::process::ExitCode;

use rend_sim::scenario::{self, NAMES};

fn main() -> ExitCode {
    let (mut seed, mut name, mut quiet) = (7, "everything".to_owned(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next_if_needed(&arg)) {
            ("--seed", Some(text)) if text.parse::<u64>().is_ok() => seed = text.parse().unwrap_or(seed),
            ("--scenario", Some(text)) if NAMES.contains(&text.as_str()) => name = text,
            ("--quiet", None) => quiet = true,
            _ => {
                println!("usage: rend-sim [--seed N] [--scenario {}] [--quiet]", NAMES.join("|"));
                return ExitCode::FAILURE;
            }
        }
    }
    let (Some(options), Some(report)) = (scenario::options(&name, seed), scenario::run(&name, seed)) else {
        return ExitCode::FAILURE;
    };
    if !quiet {
        report.trace.iter().for_each(|line| println!("{line}"));
    }
    println!("{name} with seed {seed}: {options:#?}");
    let (events, delivered, jobs, purges) = (report.events, report.delivered, report.jobs, report.purges);
    println!("{events} events; {delivered} telemetry events delivered, {jobs} jobs ended, {purges} purges");
    report.violations.iter().for_each(|what| println!("BROKEN: {what}"));
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The value of an option that has one.
trait NextIfNeeded {
    fn next_if_needed(&mut self, option: &str) -> Option<String>;
}

impl<I: Iterator<Item = String>> NextIfNeeded for I {
    fn next_if_needed(&mut self, option: &str) -> Option<String> {
        if option == "--quiet" { None } else { self.next() }
    }
}
