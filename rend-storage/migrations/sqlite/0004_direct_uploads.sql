-- Uploads whose parts go past the API. A session of before is none of them.

ALTER TABLE uploads ADD COLUMN direct_name TEXT;
ALTER TABLE uploads ADD COLUMN direct_part_bytes INTEGER;
ALTER TABLE uploads ADD COLUMN direct_secret BLOB;
ALTER TABLE uploads ADD COLUMN direct_sha256 BLOB;
