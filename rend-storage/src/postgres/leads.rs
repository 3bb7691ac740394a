use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;

use super::Postgres;
use super::columns::{Id, millis};
use crate::StoreError;
use crate::leads::Leads;

#[async_trait]
impl Leads for Postgres {
    async fn lead(
        &self,
        name: &str,
        holder: LeaseToken,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let db = self.session().await?;
        let held = db
            .run(include_str!("sql/lead.sql"), &[&name, &Id(*holder.as_bytes()), &millis(expires), &millis(now)])
            .await;
        db.end(held.map(|rows| rows > 0))
    }
}
