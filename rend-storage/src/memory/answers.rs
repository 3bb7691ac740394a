use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;
use rend_core::upload::idempotency::{Remembered, Verdict, judge};

use super::Memory;
use crate::StoreError;
use crate::answers::{AnswerStore, Asked, Begun};

/// What is known of one name.
pub(super) struct Row {
    remembered: Remembered<Vec<u8>>,
    holder: LeaseToken,
}

#[async_trait]
impl AnswerStore for Memory {
    async fn begin_answer(&self, asked: &Asked) -> Result<Begun, StoreError> {
        Ok(self.with(|state| {
            let remembered = state.answers.get(&asked.place).map(|row| &row.remembered);
            match judge(remembered, &asked.asked_sha256, asked.now) {
                Verdict::Do => {}
                Verdict::Replay(answer) => return Begun::Replay(answer.clone()),
                Verdict::Running => return Begun::Running,
                Verdict::Other => return Begun::Other,
            }
            let (asked_sha256, at, until) = (asked.asked_sha256, asked.now, asked.until);
            let remembered = Remembered { asked_sha256, answer: None, at, until };
            state.answers.insert(asked.place, Row { remembered, holder: asked.holder });
            Begun::Do
        }))
    }

    async fn extend_answer(&self, place: [u8; 32], holder: LeaseToken, until: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            let row = state.answers.get_mut(&place).filter(|row| row.is_running(holder));
            row.map(|row| row.remembered.until = until).ok_or(StoreError::LeaseLost)
        })
    }

    async fn end_answer(&self, place: [u8; 32], holder: LeaseToken, answer: Option<&[u8]>) -> Result<(), StoreError> {
        self.with(|state| {
            let row =
                state.answers.get_mut(&place).filter(|row| row.is_running(holder)).ok_or(StoreError::LeaseLost)?;
            match answer {
                Some(answer) => row.remembered.answer = Some(answer.to_vec()),
                None => drop(state.answers.remove(&place)),
            }
            Ok(())
        })
    }

    async fn forget_answers(&self, before: Timestamp, most: usize, rows: usize) -> Result<usize, StoreError> {
        Ok(self.with(|state| {
            let mut oldest: Vec<_> = state.answers.iter().map(|(place, row)| (row.remembered.at, *place)).collect();
            oldest.sort_unstable();
            let surplus = oldest.len().saturating_sub(most);
            let going = oldest.iter().enumerate().filter(|(n, (at, place))| {
                let answered = state.answers.get(place).is_some_and(|row| row.remembered.answer.is_some());
                *at < before || (*n < surplus && answered)
            });
            let going: Vec<_> = going.map(|(_, (_, place))| *place).take(rows).collect();
            for place in &going {
                state.answers.remove(place);
            }
            going.len()
        }))
    }
}

impl Row {
    fn is_running(&self, holder: LeaseToken) -> bool {
        self.holder == holder && self.remembered.answer.is_none()
    }
}
