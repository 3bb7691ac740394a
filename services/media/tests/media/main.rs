//! The worker on real files: on clips that are made here, and on a folder of others when one is named.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod changes;
mod checked;
mod damage;
mod downloads;
mod folder;
mod gone;
mod jail;
mod kills;
mod limits;
mod odd;
mod passthrough;
mod pipeline;
mod rows;
mod rungs;
mod sounds;
mod subtitles;
mod support;
mod table;
