//! eviction
fn main() {}
