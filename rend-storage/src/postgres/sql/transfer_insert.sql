INSERT INTO uploads
  (id, asset, org, bytes_expected, state, expires_at, created_at, received, epoch, note, pull_url, pull_validator,
   direct_name, direct_part_bytes, direct_secret, direct_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (id) DO NOTHING
