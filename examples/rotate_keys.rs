//! rotate_keys
fn main() {}
