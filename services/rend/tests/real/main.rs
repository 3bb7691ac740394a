//! The real program, started and driven from outside: what people get wrong, crashes, and the gate.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bad_input;
mod check;
mod common;
mod crash;
mod direct;
mod gate;
mod operator;
mod resume;
mod webhooks;
