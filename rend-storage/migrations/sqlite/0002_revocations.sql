-- Tokens that are no longer believed. A place is never given twice, also when its row has expired and is gone.
CREATE TABLE revocations (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  kind          TEXT NOT NULL,
  subject       TEXT NOT NULL,
  issued_before INTEGER,
  at            INTEGER NOT NULL,
  expires_at    INTEGER
);

CREATE INDEX revocations_by_expiry ON revocations (expires_at) WHERE expires_at IS NOT NULL;
