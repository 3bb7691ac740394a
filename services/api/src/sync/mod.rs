//! What the control plane does by itself: it publishes captions, sweeps, deletes, warms and purges, counts
//! usage, and lets go of what is old.
pub(crate) mod captions;
pub(crate) mod delete;
pub(crate) mod fanout;
pub(crate) mod follow;
pub(crate) mod retain;
pub(crate) mod revoke;
pub(crate) mod suspend;
pub(crate) mod sweep;
pub(crate) mod usage;
