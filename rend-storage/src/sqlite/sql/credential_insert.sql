INSERT INTO credentials (
  id, org, name, prefix, digest, scopes, created_at, expires_at, last_used_at, revoked_at
) VALUES (
  :id, :org, :name, :prefix, :digest, :scopes, :created_at, :expires_at, :last_used_at, :revoked_at
) ON CONFLICT DO NOTHING
