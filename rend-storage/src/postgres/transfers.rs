use async_trait::async_trait;
use rend_core::id::{OrgId, UploadId};
use rend_core::upload::transfer::{Direct, Part, Pull, Step, Transfer};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::{Id, bytes, bytes_or_none, capped, escape, limit, millis, number, text, text_or_none};
use super::fault::Fault;
use super::session::Session;
use super::{Postgres, uploads};
use crate::StoreError;
use crate::transfers::TransferStore;

#[async_trait]
impl TransferStore for Postgres {
    async fn open_transfer(&self, transfer: &Transfer) -> Result<(), StoreError> {
        let session = &transfer.session;
        let (pull, direct) = (transfer.pull.as_ref(), transfer.direct.as_ref());
        let params: [&(dyn ToSql + Sync); 16] = [
            &Id(*session.id.as_bytes()),
            &Id(*session.asset.as_bytes()),
            &Id(*session.org.as_bytes()),
            &session.bytes_expected.map(u64::cast_signed),
            &session.state.as_str(),
            &millis(session.expires_at),
            &millis(session.created_at),
            &transfer.received.cast_signed(),
            &transfer.epoch.cast_signed(),
            &escape(&transfer.note),
            &pull.map(|pull| escape(&pull.url)),
            &pull.and_then(|pull| pull.validator.as_deref()).map(escape),
            &direct.map(|direct| escape(&direct.name)),
            &direct.map(|direct| direct.part_bytes.cast_signed()),
            &direct.map(|direct| direct.secret.as_slice()),
            &direct.and_then(|direct| direct.sha256.as_ref()).map(<[u8; 32]>::as_slice),
        ];
        let db = self.session().await?;
        let inserted = db.run(include_str!("sql/transfer_insert.sql"), &params).await;
        match db.end(inserted)? {
            0 => Err(StoreError::Conflict { what: "upload" }),
            _ => Ok(()),
        }
    }

    async fn transfer(&self, id: UploadId) -> Result<Transfer, StoreError> {
        let db = self.session().await?;
        let found = uploads::find(&db, include_str!("sql/upload_get.sql"), id).await;
        db.end(found.and_then(|row| decode(&row)))
    }

    async fn take_over(&self, id: UploadId) -> Result<Transfer, StoreError> {
        let db = self.transaction().await?;
        let taken = take_over(&db, id).await;
        db.commit(taken).await
    }

    async fn advance_transfer(&self, id: UploadId, epoch: u64, step: &Step) -> Result<Transfer, StoreError> {
        let db = self.transaction().await?;
        let advanced = advance(&db, id, epoch, step).await;
        db.commit(advanced).await
    }

    async fn parts(&self, id: UploadId, from: u64, rows: usize) -> Result<Vec<Part>, StoreError> {
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&Id(*id.as_bytes()), &capped(from), &limit(rows)];
        let found = db.all(include_str!("sql/transfer_parts.sql"), &params).await;
        db.end(found.and_then(|rows| rows.iter().map(decode_part).collect()))
    }

    async fn open_transfers(&self, org: OrgId) -> Result<u64, StoreError> {
        let db = self.session().await?;
        let counted = db.first(include_str!("sql/transfer_open.sql"), &[&Id(*org.as_bytes())]).await;
        db.end(counted.and_then(|row| row.map_or(Ok(0), |row| number(&row, "open"))))
    }

    async fn whole_transfers(&self, rows: usize) -> Result<Vec<Transfer>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/transfer_whole.sql"), &[&limit(rows)]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }
}

async fn take_over(db: &Session, id: UploadId) -> Result<Transfer, Fault> {
    let next = hold(db, id).await?.taken_over().map_err(StoreError::from)?;
    update(db, &next).await?;
    Ok(next)
}

async fn advance(db: &Session, id: UploadId, epoch: u64, step: &Step) -> Result<Transfer, Fault> {
    let next = hold(db, id).await?.after(epoch, step).map_err(StoreError::from)?;
    update(db, &next).await?;
    match step {
        Step::Append { parts, .. } => insert(db, id, parts).await?,
        Step::Learn { .. } | Step::Renew { .. } | Step::Seal { .. } => {}
        Step::Restart => {
            db.run(include_str!("sql/transfer_parts_delete.sql"), &[&Id(*id.as_bytes())]).await?;
        }
    }
    Ok(next)
}

/// The transfer, which nobody else can change until the end of the transaction.
async fn hold(db: &Session, id: UploadId) -> Result<Transfer, Fault> {
    decode(&uploads::find(db, include_str!("sql/upload_hold.sql"), id).await?)
}

async fn update(db: &Session, transfer: &Transfer) -> Result<(), Fault> {
    let session = &transfer.session;
    let direct = transfer.direct.as_ref();
    let params: [&(dyn ToSql + Sync); 7] = [
        &Id(*session.id.as_bytes()),
        &session.bytes_expected.map(u64::cast_signed),
        &millis(session.expires_at),
        &transfer.received.cast_signed(),
        &transfer.epoch.cast_signed(),
        &transfer.pull.as_ref().and_then(|pull| pull.validator.as_deref()).map(escape),
        &direct.and_then(|direct| direct.sha256.as_ref()).map(<[u8; 32]>::as_slice),
    ];
    db.run(include_str!("sql/transfer_update.sql"), &params).await.map(drop)
}

async fn insert(db: &Session, id: UploadId, parts: &[Part]) -> Result<(), Fault> {
    let column = |of: fn(&Part) -> u64| parts.iter().map(|part| of(part).cast_signed()).collect::<Vec<i64>>();
    let params: [&(dyn ToSql + Sync); 4] =
        [&Id(*id.as_bytes()), &column(|part| part.start), &column(|part| part.bytes), &column(|part| part.epoch)];
    db.run(include_str!("sql/transfer_parts_insert.sql"), &params).await.map(drop)
}

fn decode(row: &Row) -> Result<Transfer, Fault> {
    let validator = text_or_none(row, "pull_validator")?;
    let pull = text_or_none(row, "pull_url")?.map(|url| Pull { url, validator });
    let direct = match text_or_none(row, "direct_name")? {
        Some(name) => Some(Direct {
            name,
            part_bytes: number(row, "direct_part_bytes")?,
            secret: bytes(row, "direct_secret")?,
            sha256: bytes_or_none(row, "direct_sha256")?,
        }),
        None => None,
    };
    Ok(Transfer {
        session: uploads::decode(row)?,
        received: number(row, "received")?,
        epoch: number(row, "epoch")?,
        note: text(row, "note")?,
        pull,
        direct,
    })
}

fn decode_part(row: &Row) -> Result<Part, Fault> {
    Ok(Part { start: number(row, "start")?, bytes: number(row, "bytes")?, epoch: number(row, "epoch")? })
}
