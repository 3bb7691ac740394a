-- What operators took out of service and gave back.
CREATE TABLE orders (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL,
  subject    BLOB NOT NULL,
  action     TEXT NOT NULL,
  ordered_by TEXT NOT NULL,
  reason     TEXT NOT NULL,
  at         INTEGER NOT NULL
);
CREATE INDEX orders_about ON orders (kind, subject, seq);

-- Where an owner wants to be told of events, and how far each has been told: read and replaced whole.
CREATE TABLE webhook_endpoints (
  id       BLOB PRIMARY KEY NOT NULL,
  org      BLOB NOT NULL,
  revision INTEGER NOT NULL,
  document TEXT NOT NULL
);
CREATE INDEX webhook_endpoints_of_org ON webhook_endpoints (org, id);
