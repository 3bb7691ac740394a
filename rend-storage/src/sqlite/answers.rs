use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;
use rend_core::upload::idempotency::{Remembered, Verdict, judge};
use rusqlite::{Row, named_params};

use super::columns::{get, limit, millis, time};
use super::fault::Fault;
use super::{Sqlite, changed, first, run};
use crate::StoreError;
use crate::answers::{AnswerStore, Asked, Begun};

#[async_trait]
impl AnswerStore for Sqlite {
    async fn begin_answer(&self, asked: &Asked) -> Result<Begun, StoreError> {
        let asked = *asked;
        self.write(move |db| {
            let known = first(db, include_str!("sql/answer_get.sql"), named_params! { ":place": asked.place }, decode)?;
            match judge(known.as_ref(), &asked.asked_sha256, asked.now) {
                Verdict::Do => {}
                Verdict::Replay(answer) => return Ok(Begun::Replay(answer.clone())),
                Verdict::Running => return Ok(Begun::Running),
                Verdict::Other => return Ok(Begun::Other),
            }
            let params = named_params! {
                ":place": asked.place,
                ":asked": asked.asked_sha256,
                ":at": millis(asked.now),
                ":holder": asked.holder.as_bytes(),
                ":until": millis(asked.until),
            };
            run(db, include_str!("sql/answer_begin.sql"), params)?;
            Ok(Begun::Do)
        })
        .await
    }

    async fn extend_answer(&self, place: [u8; 32], holder: LeaseToken, until: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            let params = named_params! { ":place": place, ":holder": holder.as_bytes(), ":until": millis(until) };
            changed(run(db, include_str!("sql/answer_extend.sql"), params)?, StoreError::LeaseLost)
        })
        .await
    }

    async fn end_answer(&self, place: [u8; 32], holder: LeaseToken, answer: Option<&[u8]>) -> Result<(), StoreError> {
        let answer = answer.map(<[u8]>::to_vec);
        self.write(move |db| {
            let holder = holder.as_bytes();
            let ended = match &answer {
                Some(answer) => {
                    let params = named_params! { ":place": place, ":holder": holder, ":answer": answer };
                    run(db, include_str!("sql/answer_end.sql"), params)?
                }
                None => {
                    let params = named_params! { ":place": place, ":holder": holder };
                    run(db, include_str!("sql/answer_free.sql"), params)?
                }
            };
            changed(ended, StoreError::LeaseLost)
        })
        .await
    }

    async fn forget_answers(&self, before: Timestamp, most: usize, rows: usize) -> Result<usize, StoreError> {
        self.write(move |db| {
            let params = named_params! { ":before": millis(before), ":most": limit(most), ":limit": limit(rows) };
            run(db, include_str!("sql/answers_forget.sql"), params)
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<Remembered<Vec<u8>>, Fault> {
    Ok(Remembered {
        asked_sha256: get(row, "asked")?,
        answer: get(row, "answer")?,
        at: time(row, "at")?,
        until: time(row, "until")?,
    })
}
