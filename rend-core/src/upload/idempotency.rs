//! What a repeated `Idempotency-Key` means.

use std::time::Duration;

use crate::time::Timestamp;

/// How long an answer is kept for repeats.
pub const ANSWER_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Characters that a key may have.
pub const KEY_CHARS_MAX: usize = 255;

/// What is remembered of the first request with a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remembered<A> {
    /// The SHA-256 of what was asked: method, path and body.
    pub asked_sha256: [u8; 32],
    /// What was answered; `None` while it runs.
    pub answer: Option<A>,
    /// When it was first asked.
    pub at: Timestamp,
    /// Until when its name is taken although nothing is answered: whoever did it may have died.
    pub until: Timestamp,
}

/// What to do with a request that carries a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict<'a, A> {
    /// It is the first, the first after a day, or the first after one that was given up: do it and remember the answer.
    Do,
    /// It was done: give the same answer again.
    Replay(&'a A),
    /// It is being done: 409, and trying again helps.
    Running,
    /// The key stands for another request: 422.
    Other,
}

/// Whether `key` can be a key: 1 to 255 visible ASCII characters.
pub fn is_key(key: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
}

/// Judges a request that asks for `asked_sha256`, given what is remembered of its key.
pub fn judge<'a, A>(remembered: Option<&'a Remembered<A>>, asked_sha256: &[u8; 32], now: Timestamp) -> Verdict<'a, A> {
    match remembered {
        Some(first) if now.since(first.at) >= ANSWER_KEPT => Verdict::Do,
        Some(first) if first.answer.is_none() && now >= first.until => Verdict::Do,
        Some(first) if first.asked_sha256 != *asked_sha256 => Verdict::Other,
        Some(Remembered { answer: Some(answer), .. }) => Verdict::Replay(answer),
        Some(_) => Verdict::Running,
        None => Verdict::Do,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: Option<u8>, asked: u8, now_secs: u64, expect: Verdict<'_, u8>) {
        let (at, until) = (Timestamp::from_secs(1000), Timestamp::from_secs(1060));
        let first = Remembered { asked_sha256: [1; 32], answer, at, until };
        assert_eq!(judge(Some(&first), &[asked; 32], Timestamp::from_secs(now_secs)), expect);
    }

    #[test]
    fn a_repeat_gets_the_first_answer_for_a_day() {
        check(Some(9), 1, 1000, Verdict::Replay(&9));
        check(Some(9), 1, 1000 + 86_399, Verdict::Replay(&9));
        check(Some(9), 1, 1000 + 86_400, Verdict::Do);
        check(Some(9), 2, 1000, Verdict::Other);
        check(None, 1, 1000, Verdict::Running);
        check(None, 2, 1000, Verdict::Other);
        check(None, 1, 1059, Verdict::Running);
        check(None, 1, 1060, Verdict::Do);
        check(None, 2, 1060, Verdict::Do);
        check(Some(9), 1, 0, Verdict::Replay(&9));
        assert_eq!(judge::<u8>(None, &[1; 32], Timestamp::EPOCH), Verdict::Do);
    }

    #[test]
    fn a_key_is_short_and_visible() {
        for (key, is) in [("a", true), (&"x".repeat(255), true), ("", false), ("a b", false), ("ä", false)] {
            assert_eq!(is_key(key), is, "{key}");
        }
        assert!(!is_key(&"x".repeat(256)));
    }
}
