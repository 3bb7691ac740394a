-- The downloads of each asset. One of before has none.

ALTER TABLE assets ADD COLUMN downloads TEXT NOT NULL DEFAULT '[]';
