use async_trait::async_trait;
use rend_core::id::{AssetId, OrgId};
use rend_core::suspension::{Entry, Order, Subject, standing};

use super::Memory;
use crate::StoreError;
use crate::suspensions::SuspensionLog;

#[async_trait]
impl SuspensionLog for Memory {
    async fn append_order(&self, order: &Order) -> Result<Entry, StoreError> {
        Ok(self.with(|state| {
            let entry = Entry { seq: state.orders.len() as u64 + 1, order: order.clone() };
            state.orders.push(entry.clone());
            entry
        }))
    }

    async fn suspension(&self, asset: AssetId) -> Result<Option<Entry>, StoreError> {
        Ok(self.with(|state| {
            let org = state.assets.get(&asset)?.org;
            let orders = [newest(&state.orders, Subject::Asset(asset)), newest(&state.orders, Subject::Org(org))];
            standing(orders.into_iter().flatten())
        }))
    }

    async fn org_suspension(&self, org: OrgId) -> Result<Option<Entry>, StoreError> {
        Ok(self.with(|state| standing(newest(&state.orders, Subject::Org(org)))))
    }

    async fn orders_after(&self, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(self.with(|state| {
            let first = state.orders.partition_point(|entry| entry.seq <= seq);
            state.orders[first..].iter().take(limit).cloned().collect()
        }))
    }
}

fn newest(orders: &[Entry], subject: Subject) -> Option<Entry> {
    orders.iter().rev().find(|entry| entry.order.subject == subject).cloned()
}
