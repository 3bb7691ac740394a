-- What operators took out of service and gave back.
CREATE TABLE orders (
  seq        bigint PRIMARY KEY,
  kind       text NOT NULL,
  subject    uuid NOT NULL,
  action     text NOT NULL,
  ordered_by text NOT NULL,
  reason     text NOT NULL,
  at         bigint NOT NULL
);
CREATE INDEX orders_about ON orders (kind, subject, seq);
INSERT INTO heads (log, seq) VALUES ('orders', 0);

-- Where an owner wants to be told of events, and how far each has been told: read and replaced whole.
CREATE TABLE webhook_endpoints (
  id       uuid PRIMARY KEY,
  org      uuid NOT NULL,
  revision bigint NOT NULL,
  document text NOT NULL
);
CREATE INDEX webhook_endpoints_of_org ON webhook_endpoints (org, id);
