//! Rounds of work, and what comes of them.

use std::sync::Arc;
use std::time::Duration;

use rend_core::time::{Clock, Mono};
use rend_shell::SystemClock;

/// What was done in one round.
pub(crate) struct Round {
    /// How long each took.
    pub(crate) each: Vec<Duration>,
    /// Things done in a second; one request may do many.
    pub(crate) per_sec: f64,
}

/// A time that has an end.
#[derive(Clone)]
pub(crate) struct Watch {
    clock: Arc<SystemClock>,
    ends: Mono,
}

impl Watch {
    pub(crate) fn lasting(time: Duration) -> Self {
        let clock = Arc::new(SystemClock::start());
        let ends = clock.mono() + time;
        Self { clock, ends }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.clock.mono() < self.ends
    }

    pub(crate) fn now(&self) -> Mono {
        self.clock.mono()
    }
}

impl Round {
    /// Of what several workers did at the same time for `time`, each request doing `things`.
    pub(crate) fn of(workers: Vec<Vec<Duration>>, time: Duration, things: usize) -> Self {
        let each: Vec<_> = workers.into_iter().flatten().collect();
        let per_sec = (each.len() * things) as f64 / time.as_secs_f64();
        Self { each, per_sec }
    }
}

/// Prints how often something was done in a second, beside its peer.
pub(crate) fn print_rates(what: &str, rend: &[Round], bare: &[Round]) {
    let rate = |round: &Round| round.per_sec;
    let ratio = median(rend.iter().zip(bare).map(|(one, other)| rate(one) / rate(other)).collect());
    let of = |rounds: &[Round]| median(rounds.iter().map(rate).collect());
    println!("| {what} | {:.0} | {:.0} | {ratio:.2} |", of(rend), of(bare));
}

/// Prints the middle and the 99th of a hundred of how long each took, beside its peer.
pub(crate) fn print_times(what: &str, rend: &[Round], bare: &[Round]) {
    for (name, part) in [("p50", 0.50), ("p99", 0.99)] {
        let time = |round: &Round| quantile(&round.each, part).as_secs_f64() * 1e3;
        let ratio = median(rend.iter().zip(bare).map(|(one, other)| time(one) / time(other)).collect());
        let of = |rounds: &[Round]| median(rounds.iter().map(time).collect());
        println!("| {what}, {name}, ms | {:.2} | {:.2} | {ratio:.2} |", of(rend), of(bare));
    }
}

fn quantile(times: &[Duration], part: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
