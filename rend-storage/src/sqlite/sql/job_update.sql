UPDATE jobs SET
  asset = :asset, kind = :kind, state = :state, attempt = :attempt, attempts_max = :attempts_max, run_at = :run_at,
  lease_expires = :lease_expires, worker = :worker, error = :error, created_at = :created_at, updated_at = :updated_at,
  token = :token, due_since = :due_since
WHERE id = :id
