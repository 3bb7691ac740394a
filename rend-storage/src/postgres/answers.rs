use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;
use rend_core::upload::idempotency::{Remembered, Verdict, judge};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, bytes, get, limit, millis, time};
use super::fault::Fault;
use super::session::Session;
use crate::StoreError;
use crate::answers::{AnswerStore, Asked, Begun};
use crate::documents::Strange;

#[async_trait]
impl AnswerStore for Postgres {
    async fn begin_answer(&self, asked: &Asked) -> Result<Begun, StoreError> {
        let db = self.transaction().await?;
        let begun = begin(&db, asked).await;
        db.commit(begun).await
    }

    async fn extend_answer(&self, place: [u8; 32], holder: LeaseToken, until: Timestamp) -> Result<(), StoreError> {
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&&place[..], &Id(*holder.as_bytes()), &millis(until)];
        let extended = db.run(include_str!("sql/answer_extend.sql"), &params).await;
        db.end(extended.and_then(held))
    }

    async fn end_answer(&self, place: [u8; 32], holder: LeaseToken, answer: Option<&[u8]>) -> Result<(), StoreError> {
        let db = self.session().await?;
        let holder = Id(*holder.as_bytes());
        let ended = match answer {
            Some(answer) => db.run(include_str!("sql/answer_end.sql"), &[&&place[..], &holder, &answer]).await,
            None => db.run(include_str!("sql/answer_free.sql"), &[&&place[..], &holder]).await,
        };
        db.end(ended.and_then(held))
    }

    async fn forget_answers(&self, before: Timestamp, most: usize, rows: usize) -> Result<usize, StoreError> {
        let db = self.session().await?;
        let forgot =
            db.run(include_str!("sql/answers_forget.sql"), &[&millis(before), &limit(most), &limit(rows)]).await;
        db.end(forgot.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX)))
    }
}

async fn begin(db: &Session, asked: &Asked) -> Result<Begun, Fault> {
    let (place, digest, now) = (&asked.place[..], &asked.asked_sha256[..], millis(asked.now));
    let holder = Id(*asked.holder.as_bytes());
    let row = db.first(include_str!("sql/answer_hold.sql"), &[&place, &digest, &now, &holder]).await?;
    let known = decode(&row.ok_or(Strange("place"))?)?;
    match judge(Some(&known), &asked.asked_sha256, asked.now) {
        Verdict::Do => {}
        Verdict::Replay(answer) => return Ok(Begun::Replay(answer.clone())),
        Verdict::Running => return Ok(Begun::Running),
        Verdict::Other => return Ok(Begun::Other),
    }
    let params: [&(dyn ToSql + Sync); 5] = [&place, &digest, &now, &holder, &millis(asked.until)];
    db.run(include_str!("sql/answer_begin.sql"), &params).await?;
    Ok(Begun::Do)
}

fn decode(row: &Row) -> Result<Remembered<Vec<u8>>, Fault> {
    Ok(Remembered {
        asked_sha256: bytes(row, "asked")?,
        answer: get(row, "answer")?,
        at: time(row, "at")?,
        until: time(row, "until")?,
    })
}

fn held(rows: u64) -> Result<(), Fault> {
    if rows == 0 { Err(StoreError::LeaseLost.into()) } else { Ok(()) }
}
