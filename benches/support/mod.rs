//! What the bench of the policies is made of.

pub(crate) mod bounds;
pub(crate) mod edge;
pub(crate) mod goals;
pub(crate) mod peers;
pub(crate) mod trace;
