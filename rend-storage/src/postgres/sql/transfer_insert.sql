INSERT INTO uploads
  (id, asset, org, bytes_expected, state, expires_at, created_at, received, epoch, note, pull_url, pull_validator)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (id) DO NOTHING
