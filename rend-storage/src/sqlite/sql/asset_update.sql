UPDATE assets SET
  org = :org, title = :title, external_id = :external_id, metadata = :metadata, policy = :policy, source = :source,
  playable = :playable, degraded = :degraded, failure = :failure, stored_bytes = :stored_bytes,
  stored_sha256 = :stored_sha256, media = :media, renditions = :renditions, captions = :captions,
  downloads = :downloads, revision = :revision, created_at = :created_at, updated_at = :updated_at
WHERE id = :id
