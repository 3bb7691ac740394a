UPDATE assets SET
  org = $2, title = $3, external_id = $4, metadata = $5, policy = $6, source = $7, playable = $8, degraded = $9,
  failure = $10, stored_bytes = $11, stored_sha256 = $12, media = $13, renditions = $14, revision = $15,
  created_at = $16, updated_at = $17, captions = $18, downloads = $19
WHERE id = $1
