//! What the bench of the policies is made of.

pub(crate) mod bounds;
pub(crate) mod peers;
pub(crate) mod trace;
