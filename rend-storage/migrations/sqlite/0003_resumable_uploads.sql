-- Uploads that come in pieces. A session of before has received nothing and was never taken over.

ALTER TABLE uploads ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN pull_url TEXT;
ALTER TABLE uploads ADD COLUMN pull_validator TEXT;

CREATE TABLE upload_parts (
  upload BLOB NOT NULL,
  start  INTEGER NOT NULL,
  bytes  INTEGER NOT NULL,
  epoch  INTEGER NOT NULL,
  PRIMARY KEY (upload, start)
) WITHOUT ROWID;
