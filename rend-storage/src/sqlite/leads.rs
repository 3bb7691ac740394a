use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;
use rusqlite::named_params;

use super::columns::millis;
use super::{Sqlite, run};
use crate::StoreError;
use crate::leads::Leads;

#[async_trait]
impl Leads for Sqlite {
    async fn lead(
        &self,
        name: &str,
        holder: LeaseToken,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            let params = named_params! {
                ":name": name,
                ":holder": holder.as_bytes(),
                ":now": millis(now),
                ":expires": millis(expires),
            };
            Ok(run(db, include_str!("sql/lead.sql"), params)? > 0)
        })
        .await
    }
}
