//! spool_events
fn main() {}
