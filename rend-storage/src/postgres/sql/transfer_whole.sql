SELECT id, asset, org, bytes_expected, state, expires_at, created_at, received, epoch, note, pull_url, pull_validator,
  direct_name, direct_part_bytes, direct_secret, direct_sha256
FROM uploads WHERE state = 'open' AND received <> 0 AND received = bytes_expected
ORDER BY id LIMIT $1
