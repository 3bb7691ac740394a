//! rend-api
fn main() {}
