INSERT INTO jobs (
  id, asset, kind, state, attempt, attempts_max, run_at, lease_expires, worker, error, created_at, updated_at, token,
  due_since
) VALUES (
  :id, :asset, :kind, :state, :attempt, :attempts_max, :run_at, :lease_expires, :worker, :error, :created_at,
  :updated_at, :token, :due_since
) ON CONFLICT (id) DO NOTHING
