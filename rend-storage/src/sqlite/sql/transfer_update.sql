UPDATE uploads
SET bytes_expected = :bytes_expected, expires_at = :expires_at, received = :received, epoch = :epoch,
  pull_validator = :pull_validator, direct_sha256 = :direct_sha256
WHERE id = :id
