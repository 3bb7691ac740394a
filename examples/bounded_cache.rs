//! bounded_cache
fn main() {}
