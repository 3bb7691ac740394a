INSERT INTO uploads (id, asset, org, bytes_expected, state, expires_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING
