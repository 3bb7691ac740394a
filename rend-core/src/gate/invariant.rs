//! What must hold of a fleet at every moment, and what must come true once trouble is over.
//!
//! The simulator asks these after every event; an operator's check asks those that can be seen from outside. Each answers
//! what is wrong, in a sentence, or nothing.

/// A cache holds no more than it may.
pub fn cache_within(edge: &str, bytes_used: u64, bytes_max: u64) -> Option<String> {
    (bytes_used > bytes_max).then(|| format!("edge {edge} holds {bytes_used} bytes, {bytes_max} is the most"))
}

/// Nothing from before a purge is served after it: generations only rise.
pub fn after_the_fence(edge: &str, served_generation: u64, fence: u64) -> Option<String> {
    let older = served_generation < fence;
    older.then(|| format!("edge {edge} served generation {served_generation} after fence {fence}"))
}

/// At most one fetch of a key is under way on one edge.
pub fn one_fetch_a_key(edge: &str, fetches: u64) -> Option<String> {
    (fetches > 1).then(|| format!("edge {edge} fetches one artifact {fetches} times at once"))
}

/// What was numbered was received, waits, or was said to be lost: no event is missing in silence, and none is counted
/// twice.
pub fn events_add_up(edge: &str, numbered: u64, received: u64, waiting: u64, lost: u64) -> Option<String> {
    let known = u128::from(received) + u128::from(waiting) + u128::from(lost);
    let text =
        || format!("edge {edge} numbered {numbered} events: {received} received, {waiting} waiting, {lost} lost");
    (known != u128::from(numbered)).then(text)
}

/// A job is finished at most once, and only under the lease that holds.
pub fn finished_once(finishes: u64, under_stale_lease: u64) -> Option<String> {
    let wrong = finishes > 1 || under_stale_lease > 0;
    wrong.then(|| format!("a job was finished {finishes} times, {under_stale_lease} of them under a stale lease"))
}

/// Every edge that is expected is live.
pub fn all_live<'a>(expected: impl IntoIterator<Item = &'a str>, live: &[&str]) -> Option<String> {
    let missing: Vec<_> = expected.into_iter().filter(|edge| !live.contains(edge)).collect();
    (!missing.is_empty()).then(|| format!("not live: {}", missing.join(", ")))
}

/// An edge has carried out every purge before it wants viewers.
pub fn caught_up(edge: &str, is_active: bool, purge_seen: u64, purge_head_at_registration: u64) -> Option<String> {
    let early = is_active && purge_seen < purge_head_at_registration;
    early.then(|| format!("edge {edge} is active at purge {purge_seen} of {purge_head_at_registration}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_invariant_holds_or_says_what_does_not() {
        assert_eq!(cache_within("a", 10, 10), None);
        assert!(cache_within("a", 11, 10).is_some());
        assert_eq!(after_the_fence("a", 2, 2), None);
        assert!(after_the_fence("a", 1, 2).is_some());
        assert_eq!(one_fetch_a_key("a", 1), None);
        assert!(one_fetch_a_key("a", 2).is_some());
        assert_eq!(finished_once(1, 0), None);
        assert!(finished_once(2, 0).is_some());
        assert!(finished_once(1, 1).is_some());
        assert_eq!(all_live(["a", "b"], &["b", "a", "c"]), None);
        assert_eq!(all_live(["a", "b"], &["b"]).as_deref(), Some("not live: a"));
        assert_eq!(caught_up("a", false, 0, 9), None);
        assert!(caught_up("a", true, 8, 9).is_some());
    }

    proptest! {
        #[test]
        fn events_add_up_exactly_when_none_is_missing_or_counted_twice(
            received in 0u64..1000, waiting in 0u64..1000, lost in 0u64..1000, off in -5i64..=5
        ) {
            let numbered = (received + waiting + lost).saturating_add_signed(off);
            let adds_up = received + waiting + lost == numbered;
            prop_assert_eq!(events_add_up("a", numbered, received, waiting, lost).is_none(), adds_up);
        }

        #[test]
        fn numbers_at_their_limits_are_judged_too(a: u64, b: u64, c: u64, d: u64) {
            let _ = events_add_up("a", a, b, c, d);
            prop_assert_eq!(cache_within("a", a, b).is_none(), a <= b);
        }
    }
}
