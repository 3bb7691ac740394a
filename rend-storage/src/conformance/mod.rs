//! What every adapter must do, one case a function, one file a port.
//!
//! Each port has a macro that mounts its cases on an adapter, each as a `#[test]` of its own, so that a failure reads
//! `sqlite::a_leased_job_is_not_claimed_again`. It takes something that runs a future to its end, and an expression that
//! makes a fresh, empty store and whatever must live as long as it does:
//!
//! ```
//! mod memory {
//!     use futures::executor::block_on;
//!     use rend_storage::memory::MemoryObjects;
//!
//!     rend_storage::object_store_conformance!(block_on, (MemoryObjects::default(), ()));
//! }
//! ```
//!
//! Attributes before the arguments go to each test. An adapter that needs a server says so with one, and a run without
//! the server then names what it left out: `#[ignore = "needs PostgreSQL"]`.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "cases fail by panicking")]

pub mod analytics;
pub mod answers;
pub mod assets;
pub mod credentials;
pub mod edges;
pub mod events;
pub mod jobs;
pub mod leads;
pub mod limits;
mod make;
pub mod multipart;
pub mod objects;
pub mod retention;
pub mod revocations;
pub mod suspensions;
pub mod transfers;
pub mod uploads;
pub mod usage;
pub mod webhooks;

/// Mounts cases. The macros of the ports call it; nobody else has to.
#[doc(hidden)]
#[macro_export]
macro_rules! mount_cases {
    ($module:ident $attributes:tt $block_on:path, $make:expr; $($case:ident)+) => {
        $($crate::mount_cases! { @case $module $attributes $block_on, $make; $case })+
    };
    (@case $module:ident [$($attribute:tt)*] $block_on:path, $make:expr; $case:ident) => {
        #[test]
        $($attribute)*
        fn $case() {
            // Named, because what is not bound to a name is dropped at once.
            let (store, _guard) = $make;
            $block_on($crate::conformance::$module::$case(&store));
        }
    };
}

#[cfg(test)]
mod tests {
    /// A case that no macro names would never run.
    #[track_caller]
    fn check(source: &str) {
        let (cases, mounts) = source.split_once("macro_rules!").unwrap();
        let names = cases.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        let names: Vec<_> = names.map(|line| line.split(['(', '<']).next().unwrap()).collect();
        assert!(!names.is_empty());
        for name in names {
            let mounted = mounts.lines().filter(|line| line.trim() == name).count();
            assert_eq!(mounted, 1, "{name} is mounted {mounted} times");
        }
    }

    #[test]
    fn every_case_is_mounted_once() {
        check(include_str!("analytics.rs"));
        check(include_str!("answers.rs"));
        check(include_str!("assets.rs"));
        check(include_str!("credentials.rs"));
        check(include_str!("edges.rs"));
        check(include_str!("events.rs"));
        check(include_str!("jobs.rs"));
        check(include_str!("leads.rs"));
        check(include_str!("limits.rs"));
        check(include_str!("multipart.rs"));
        check(include_str!("objects.rs"));
        check(include_str!("retention.rs"));
        check(include_str!("revocations.rs"));
        check(include_str!("suspensions.rs"));
        check(include_str!("transfers.rs"));
        check(include_str!("uploads.rs"));
        check(include_str!("usage.rs"));
        check(include_str!("webhooks.rs"));
    }
}
