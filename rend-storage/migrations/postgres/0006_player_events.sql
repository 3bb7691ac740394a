-- What players saw, one row a moment of a view.
CREATE TABLE player_events (
  view       bytea NOT NULL,
  seq        bigint NOT NULL,
  at         bigint NOT NULL,
  org        uuid NOT NULL,
  asset      uuid NOT NULL,
  viewer     bytea NOT NULL,
  phase      text NOT NULL,
  startup_ms bigint,
  playing_ms bigint NOT NULL,
  stalled_ms bigint NOT NULL,
  rung       text COLLATE "C" NOT NULL,
  edge       text COLLATE "C" NOT NULL,
  device     text NOT NULL,
  PRIMARY KEY (view, seq)
);
CREATE INDEX player_events_of_org ON player_events (org, at);
