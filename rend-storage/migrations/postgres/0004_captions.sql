-- The captions of each asset. One of before has none.

ALTER TABLE assets ADD COLUMN captions text NOT NULL DEFAULT '[]';
