SELECT id, org, name, prefix, digest, scopes, created_at, expires_at, last_used_at, revoked_at
FROM credentials WHERE digest = $1
