SELECT
  id, asset, kind, state, attempt, attempts_max, run_at, lease_expires, worker, error, created_at, updated_at
FROM jobs WHERE asset = $1
ORDER BY id
