//! What the control plane does by itself: it publishes captions, sweeps, deletes, warms and purges, and counts usage.
pub(crate) mod captions;
pub(crate) mod delete;
pub(crate) mod fanout;
pub(crate) mod follow;
pub(crate) mod revoke;
pub(crate) mod suspend;
pub(crate) mod sweep;
pub(crate) mod usage;
