//! plan_hls
fn main() {}
