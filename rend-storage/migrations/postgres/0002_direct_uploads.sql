-- Uploads whose parts go past the API. A session of before is none of them.

ALTER TABLE uploads
  ADD COLUMN direct_name       text,
  ADD COLUMN direct_part_bytes bigint,
  ADD COLUMN direct_secret     bytea,
  ADD COLUMN direct_sha256     bytea;
