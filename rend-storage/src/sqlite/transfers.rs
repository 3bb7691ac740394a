use async_trait::async_trait;
use rend_core::id::{OrgId, UploadId};
use rend_core::upload::transfer::{Direct, Part, Pull, Step, Transfer};
use rusqlite::{Connection, Row, named_params};

use super::columns::{capped, get, limit, millis, number};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run, uploads};
use crate::StoreError;
use crate::transfers::TransferStore;

#[async_trait]
impl TransferStore for Sqlite {
    async fn open_transfer(&self, transfer: &Transfer) -> Result<(), StoreError> {
        let transfer = transfer.clone();
        self.write(move |db| {
            let session = &transfer.session;
            let (pull, direct) = (transfer.pull.as_ref(), transfer.direct.as_ref());
            let params = named_params! {
                ":id": session.id.as_bytes(),
                ":asset": session.asset.as_bytes(),
                ":org": session.org.as_bytes(),
                ":bytes_expected": session.bytes_expected.map(u64::cast_signed),
                ":state": session.state.as_str(),
                ":expires_at": millis(session.expires_at),
                ":created_at": millis(session.created_at),
                ":received": transfer.received.cast_signed(),
                ":epoch": transfer.epoch.cast_signed(),
                ":note": transfer.note,
                ":pull_url": pull.map(|pull| pull.url.as_str()),
                ":pull_validator": pull.and_then(|pull| pull.validator.as_deref()),
                ":direct_name": direct.map(|direct| direct.name.as_str()),
                ":direct_part_bytes": direct.map(|direct| direct.part_bytes.cast_signed()),
                ":direct_secret": direct.map(|direct| direct.secret),
                ":direct_sha256": direct.and_then(|direct| direct.sha256),
            };
            let inserted = run(db, include_str!("sql/transfer_insert.sql"), params)?;
            changed(inserted, StoreError::Conflict { what: "upload" })
        })
        .await
    }

    async fn transfer(&self, id: UploadId) -> Result<Transfer, StoreError> {
        self.read(move |db| find(db, id)).await
    }

    async fn take_over(&self, id: UploadId) -> Result<Transfer, StoreError> {
        self.write(move |db| {
            let next = find(db, id)?.taken_over().map_err(StoreError::from)?;
            update(db, &next)?;
            Ok(next)
        })
        .await
    }

    async fn advance_transfer(&self, id: UploadId, epoch: u64, step: &Step) -> Result<Transfer, StoreError> {
        let step = step.clone();
        self.write(move |db| {
            let next = find(db, id)?.after(epoch, &step).map_err(StoreError::from)?;
            update(db, &next)?;
            match &step {
                Step::Append { parts, .. } => parts.iter().try_for_each(|part| insert(db, id, part))?,
                Step::Learn { .. } | Step::Renew { .. } | Step::Seal { .. } => {}
                Step::Restart => {
                    let params = named_params! { ":upload": id.as_bytes() };
                    run(db, include_str!("sql/transfer_parts_delete.sql"), params)?;
                }
            }
            Ok(next)
        })
        .await
    }

    async fn parts(&self, id: UploadId, from: u64, rows: usize) -> Result<Vec<Part>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":upload": id.as_bytes(), ":from": capped(from), ":limit": limit(rows) };
            all(db, include_str!("sql/transfer_parts.sql"), params, decode_part)
        })
        .await
    }

    async fn open_transfers(&self, org: OrgId) -> Result<u64, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":org": org.as_bytes() };
            let open = first(db, include_str!("sql/transfer_open.sql"), params, |row| number(row, "open"))?;
            Ok(open.unwrap_or(0))
        })
        .await
    }

    async fn whole_transfers(&self, rows: usize) -> Result<Vec<Transfer>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":limit": limit(rows) };
            all(db, include_str!("sql/transfer_whole.sql"), params, decode)
        })
        .await
    }
}

fn find(db: &Connection, id: UploadId) -> Result<Transfer, Fault> {
    let found = first(db, include_str!("sql/upload_get.sql"), named_params! { ":id": id.as_bytes() }, decode)?;
    found.ok_or_else(|| StoreError::NotFound { what: "upload" }.into())
}

fn update(db: &Connection, transfer: &Transfer) -> Result<(), Fault> {
    let session = &transfer.session;
    let params = named_params! {
        ":id": session.id.as_bytes(),
        ":bytes_expected": session.bytes_expected.map(u64::cast_signed),
        ":expires_at": millis(session.expires_at),
        ":received": transfer.received.cast_signed(),
        ":epoch": transfer.epoch.cast_signed(),
        ":pull_validator": transfer.pull.as_ref().and_then(|pull| pull.validator.as_deref()),
        ":direct_sha256": transfer.direct.as_ref().and_then(|direct| direct.sha256),
    };
    run(db, include_str!("sql/transfer_update.sql"), params).map(|_| ())
}

fn insert(db: &Connection, id: UploadId, part: &Part) -> Result<(), Fault> {
    let params = named_params! {
        ":upload": id.as_bytes(),
        ":start": part.start.cast_signed(),
        ":bytes": part.bytes.cast_signed(),
        ":epoch": part.epoch.cast_signed(),
    };
    run(db, include_str!("sql/transfer_part_insert.sql"), params).map(|_| ())
}

fn decode(row: &Row<'_>) -> Result<Transfer, Fault> {
    let pull = match get::<Option<String>>(row, "pull_url")? {
        Some(url) => Some(Pull { url, validator: get(row, "pull_validator")? }),
        None => None,
    };
    let direct = match get::<Option<String>>(row, "direct_name")? {
        Some(name) => Some(Direct {
            name,
            part_bytes: number(row, "direct_part_bytes")?,
            secret: get(row, "direct_secret")?,
            sha256: get(row, "direct_sha256")?,
        }),
        None => None,
    };
    Ok(Transfer {
        session: uploads::decode(row)?,
        received: number(row, "received")?,
        epoch: number(row, "epoch")?,
        note: get(row, "note")?,
        pull,
        direct,
    })
}

fn decode_part(row: &Row<'_>) -> Result<Part, Fault> {
    Ok(Part { start: number(row, "start")?, bytes: number(row, "bytes")?, epoch: number(row, "epoch")? })
}
