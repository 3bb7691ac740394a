//! What every [`AnswerStore`] must do.

use futures::future;

use super::make::{at, token};
use crate::StoreError;
use crate::answers::{AnswerStore, Asked, Begun};

/// The same request is answered as it was the first time, another under its name is not.
pub async fn a_repeat_gets_the_first_answer(store: &impl AnswerStore) {
    check(store, asked(1, 1, 0), "do").await;
    check(store, asked(1, 1, 1), "running").await;
    check(store, asked(1, 2, 1), "other").await;
    check(store, asked(2, 2, 1), "do").await;
    let answer: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    store.end_answer([1; 32], token(1), Some(&answer)).await.unwrap();
    assert!(store.begin_answer(&asked(1, 1, 2)).await.unwrap() == Begun::Replay(answer));
    check(store, asked(1, 2, 3), "other").await;
    check(store, asked(1, 1, 86_399), "replay").await;
    check(store, asked(1, 2, 86_400), "do").await;
}

/// An empty answer is an answer.
pub async fn an_empty_answer_is_an_answer(store: &impl AnswerStore) {
    check(store, asked(1, 1, 0), "do").await;
    store.end_answer([1; 32], token(1), Some(&[])).await.unwrap();
    assert!(store.begin_answer(&asked(1, 1, 1)).await.unwrap() == Begun::Replay(Vec::new()));
}

/// What did nothing leaves its name free.
pub async fn what_did_nothing_leaves_its_name_free(store: &impl AnswerStore) {
    check(store, asked(1, 1, 0), "do").await;
    store.end_answer([1; 32], token(1), None).await.unwrap();
    check(store, asked(1, 2, 1), "do").await;
}

/// A name whose holder died is free after a minute, and what the holder says afterwards changes nothing.
pub async fn a_name_outlives_its_dead_holder_by_its_lease(store: &impl AnswerStore) {
    check(store, asked(1, 1, 0), "do").await;
    check(store, asked(1, 1, 59), "running").await;
    store.extend_answer([1; 32], token(1), at(100)).await.unwrap();
    check(store, asked(1, 1, 99), "running").await;
    let second = Asked { holder: token(2), ..asked(1, 1, 100) };
    check(store, second, "do").await;
    for said in [
        store.extend_answer([1; 32], token(1), at(500)).await,
        store.end_answer([1; 32], token(1), Some(b"late")).await,
        store.end_answer([1; 32], token(1), None).await,
        store.end_answer([9; 32], token(1), None).await,
    ] {
        assert!(matches!(said, Err(StoreError::LeaseLost)), "{said:?}");
    }
    store.end_answer([1; 32], token(2), Some(b"in time")).await.unwrap();
    let again = store.end_answer([1; 32], token(2), Some(b"twice")).await;
    assert!(matches!(again, Err(StoreError::LeaseLost)), "{again:?}");
    assert!(store.begin_answer(&asked(1, 1, 101)).await.unwrap() == Begun::Replay(b"in time".to_vec()));
}

/// Of many that begin one name at once, one does it.
pub async fn of_many_at_once_one_does_it(store: &impl AnswerStore) {
    for place in 1..=3 {
        let asks: Vec<_> = (1..=10).map(|n| Asked { holder: token(n), ..asked(place, 1, 0) }).collect();
        let words = future::join_all(asks.iter().map(|ask| store.begin_answer(ask))).await;
        let mut words: Vec<_> = words.into_iter().map(|begun| begun.unwrap().word()).collect();
        words.sort_unstable();
        assert_eq!(words[0], "do");
        assert!(words[1..].iter().all(|word| *word == "running"), "{words:?}");
    }
}

/// What is old is forgotten, in pieces; of too many the oldest answers, and nothing that runs.
pub async fn what_is_old_or_too_much_is_forgotten(store: &impl AnswerStore) {
    for n in 1..=10 {
        check(store, asked(n, 1, u64::from(n)), "do").await;
        if n != 3 {
            store.end_answer([n; 32], token(1), Some(&[n])).await.unwrap();
        }
    }
    assert_eq!(store.forget_answers(at(0), 100, 100).await.unwrap(), 0);
    assert_eq!(store.forget_answers(at(3), 100, 1).await.unwrap(), 1);
    assert_eq!(store.forget_answers(at(3), 100, 9).await.unwrap(), 1);
    check(store, asked(2, 2, 11), "do").await;
    check(store, asked(10, 1, 11), "replay").await;
    // Nine are left, of which the third and the second run.
    assert_eq!(store.forget_answers(at(3), 5, 100).await.unwrap(), 3);
    check(store, asked(3, 1, 12), "running").await;
    check(store, asked(7, 1, 12), "replay").await;
    check(store, asked(6, 2, 12), "do").await;
}

async fn check(store: &impl AnswerStore, asked: Asked, expect: &str) {
    assert_eq!(store.begin_answer(&asked).await.unwrap().word(), expect, "{asked:?}");
}

/// The `n`th name with the `what`th request at `now`, taken for a minute by the first holder.
fn asked(n: u8, what: u8, now: u64) -> Asked {
    Asked { place: [n; 32], asked_sha256: [what; 32], holder: token(1), now: at(now), until: at(now + 60) }
}

/// Mounts what every `AnswerStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! answers_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { answers [$(#[$attribute])*] $block_on, $make;
            a_repeat_gets_the_first_answer
            an_empty_answer_is_an_answer
            what_did_nothing_leaves_its_name_free
            a_name_outlives_its_dead_holder_by_its_lease
            of_many_at_once_one_does_it
            what_is_old_or_too_much_is_forgotten
        }
    };
}
