//! The one shape that everything with a timeline has.

use crate::time::Mono;

/// A state machine that is told what happened and answers with what to do.
///
/// # Contract
///
/// The driver calls [`handle`](Self::handle) for each event and [`wake`](Self::wake) once
/// [`deadline`](Self::deadline) has passed, and after either drains [`poll`](Self::poll) until it answers `None`.
/// `now` never goes backwards. A [`wake`](Self::wake) at or after the deadline moves the deadline or clears it, so a
/// driver cannot spin. An answer to a question that is no longer asked changes nothing.
pub trait Machine {
    /// What can happen to it.
    type Input;
    /// What it can ask for.
    type Output;

    /// Takes in one event.
    fn handle(&mut self, input: Self::Input, now: Mono);
    /// Takes in the passing of time. Early or repeated calls change nothing.
    fn wake(&mut self, now: Mono);
    /// When [`wake`](Self::wake) is next wanted, or `None` to wait for an event.
    fn deadline(&self) -> Option<Mono>;
    /// The next thing to do, oldest first.
    fn poll(&mut self) -> Option<Self::Output>;
}
