INSERT INTO jobs (
  id, asset, kind, state, attempt, attempts_max, run_at, lease_expires, worker, error, created_at, updated_at, token, due_since
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (id) DO NOTHING
