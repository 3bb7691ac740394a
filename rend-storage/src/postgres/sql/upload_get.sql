SELECT id, asset, org, bytes_expected, state, expires_at, created_at, received, epoch, note, pull_url, pull_validator,
  direct_name, direct_part_bytes, direct_secret, direct_sha256
FROM uploads WHERE id = $1
