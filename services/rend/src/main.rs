//! rend
fn main() {}
