//! What follows from each try of an upload: the next one at once, a rest, a new beginning, or the end.

use std::time::Duration;

/// What one try came to.
#[derive(Debug)]
pub(super) enum Try {
    /// Every byte is durable at the server.
    Done { asset: String },
    /// Some of it came on.
    Moved,
    /// Nothing came on. Trying again may help.
    Nothing(String),
    /// The server knows nothing of the upload any more.
    Gone,
    /// Trying again will not help.
    Failed(String),
}

/// What to do now.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Wait for the server to make one file of it.
    Collect { asset: String },
    /// Try again at once.
    Again,
    /// Try again after this long.
    Rest(Duration),
    /// Begin another upload.
    Anew,
    /// Give up, and say why.
    End(String),
}

/// The tries of one upload so far, as far as they decide the next.
pub(super) struct Tries {
    rest: Duration,
    waited: Duration,
    begun_anew: bool,
}

impl Tries {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { rest: REST_MIN, waited: Duration::ZERO, begun_anew: false }
    }

    /// What follows from the try that just ended.
    pub(super) fn after(&mut self, tried: Try) -> Next {
        match tried {
            Try::Done { asset } => Next::Collect { asset },
            Try::Moved => {
                (self.rest, self.waited) = (REST_MIN, Duration::ZERO);
                Next::Again
            }
            Try::Gone if self.begun_anew => Next::End("the server forgets the upload again and again".into()),
            Try::Gone => {
                self.begun_anew = true;
                Next::Anew
            }
            Try::Nothing(why) if self.waited >= PATIENCE => {
                Next::End(format!("{why}; the same command goes on where it stopped"))
            }
            Try::Nothing(_) => {
                let rest = self.rest;
                self.waited += rest;
                self.rest = (rest * 2).min(REST_MAX);
                Next::Rest(rest)
            }
            Try::Failed(why) => Next::End(why),
        }
    }
}

/// The shortest and the longest rest between two tries.
const REST_MIN: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(10);
/// For how long tries that bring nothing go on.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Try {
        Try::Nothing("no answer".into())
    }

    #[test]
    fn rests_grow_to_a_bound_and_end_with_the_patience() {
        let mut tries = Tries::new();
        let (mut rests, mut waited) = (Vec::new(), Duration::ZERO);
        let why = loop {
            match tries.after(nothing()) {
                Next::Rest(rest) => {
                    rests.push(rest);
                    waited += rest;
                }
                Next::End(why) => break why,
                Next::Collect { .. } | Next::Again | Next::Anew => panic!("nothing came on"),
            }
        };
        assert_eq!(rests[..3], [REST_MIN, REST_MIN * 2, REST_MIN * 4]);
        assert!(rests.iter().all(|rest| *rest <= REST_MAX), "{rests:?}");
        assert!(waited >= PATIENCE && waited < PATIENCE + REST_MAX, "{waited:?}");
        assert_eq!(why, "no answer; the same command goes on where it stopped");
    }

    #[test]
    fn what_comes_on_is_met_with_new_patience() {
        let mut tries = Tries::new();
        for _ in 0..10 {
            let _ = tries.after(nothing());
        }
        assert_eq!(tries.after(Try::Moved), Next::Again);
        assert_eq!(tries.after(nothing()), Next::Rest(REST_MIN));
    }

    #[test]
    fn an_upload_is_begun_anew_once() {
        let mut tries = Tries::new();
        assert_eq!(tries.after(Try::Gone), Next::Anew);
        assert_eq!(tries.after(Try::Moved), Next::Again);
        assert!(matches!(tries.after(Try::Gone), Next::End(_)));
    }

    #[test]
    fn what_can_not_be_helped_ends_at_once() {
        assert_eq!(Tries::new().after(Try::Failed("no".into())), Next::End("no".into()));
    }
}
