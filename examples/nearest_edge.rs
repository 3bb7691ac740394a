//! nearest_edge
fn main() {}
