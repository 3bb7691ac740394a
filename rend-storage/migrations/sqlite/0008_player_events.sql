-- What players saw, one row a moment of a view.
CREATE TABLE player_events (
  view       BLOB NOT NULL,
  seq        INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  org        BLOB NOT NULL,
  asset      BLOB NOT NULL,
  viewer     BLOB NOT NULL,
  phase      TEXT NOT NULL,
  startup_ms INTEGER,
  playing_ms INTEGER NOT NULL,
  stalled_ms INTEGER NOT NULL,
  rung       TEXT NOT NULL,
  edge       TEXT NOT NULL,
  device     TEXT NOT NULL,
  PRIMARY KEY (view, seq)
) WITHOUT ROWID;
CREATE INDEX player_events_of_org ON player_events (org, at);
