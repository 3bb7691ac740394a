INSERT INTO assets (
  id, org, title, external_id, metadata, policy, source, playable, degraded, failure, stored_bytes, stored_sha256, media,
  renditions, captions, downloads, revision, created_at, updated_at, event_count
) VALUES (
  :id, :org, :title, :external_id, :metadata, :policy, :source, :playable, :degraded, :failure, :stored_bytes,
  :stored_sha256, :media, :renditions, :captions, :downloads, :revision, :created_at, :updated_at, 0
) ON CONFLICT (id) DO NOTHING
