INSERT INTO assets (
  id, org, title, external_id, metadata, policy, source, playable, degraded, failure, stored_bytes, stored_sha256, media,
  renditions, revision, created_at, updated_at, captions, downloads, event_count
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0)
ON CONFLICT (id) DO NOTHING
