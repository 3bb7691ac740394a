//! embed_token
fn main() {}
