UPDATE uploads
SET bytes_expected = $2, expires_at = $3, received = $4, epoch = $5, pull_validator = $6, direct_sha256 = $7
WHERE id = $1
