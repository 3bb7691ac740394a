SELECT id, asset, org, bytes_expected, state, expires_at, created_at, received, epoch, note, pull_url, pull_validator
FROM uploads WHERE id = $1
FOR UPDATE
