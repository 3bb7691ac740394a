UPDATE jobs SET
  asset = $2, kind = $3, state = $4, attempt = $5, attempts_max = $6, run_at = $7, lease_expires = $8, worker = $9,
  error = $10, created_at = $11, updated_at = $12, token = $13, due_since = $14
WHERE id = $1
