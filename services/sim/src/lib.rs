//! The fleet in one thread: the machines, the cache and the spool that services run, over a made-up clock, network and disk.
//!
//! A [`World`] has edges, workers, one control plane and one origin. A seed decides everything that happens to them: packets are late,
//! lost, doubled or cut off one way; disks fill, fail, lose what was not synced; processes are killed and machines lose power; clocks are
//! skewed and jump. What must always hold ([`checks`]) is looked at after every event, what must hold in the end once every fault is
//! healed. The same seed gives the same trace, so a failure can be looked at again:
//!
//! ```text
//! cargo run -p rend-sim -- --seed 7
//! cargo run -p rend-sim -- --seed 7 --scenario purge
//! ```
//!
//! ```
//! let report = rend_sim::scenario::run("fleet", 7).expect("there is such a scenario");
//! assert_eq!(report.violations, Vec::<String>::new());
//! ```
//!
//! It covers decisions, not performers: what real files, sockets and databases do is for their adapters' suites.
pub mod checks;
mod control;
mod disk;
mod edge;
mod net;
mod origin;
pub mod rotation;
pub mod scenario;
mod viewer;
mod worker;
mod world;

pub use scenario::Options;
pub use world::{Report, World};
