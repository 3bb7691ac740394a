SELECT
  id, org, title, external_id, metadata, policy, source, playable, degraded, failure, stored_bytes, stored_sha256, media,
  renditions, revision, created_at, updated_at, captions, downloads
FROM assets WHERE id = $1
