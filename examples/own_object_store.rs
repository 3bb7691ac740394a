//! own_object_store
fn main() {}
