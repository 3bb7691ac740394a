-- The first of each kind by its index, then the first of those. A job that another claim holds at this moment is theirs.
SELECT
  id, asset, kind, state, attempt, attempts_max, run_at, lease_expires, worker, error, created_at, updated_at
FROM unnest($1::text[]) AS wanted (wanted_kind)
CROSS JOIN LATERAL (
  SELECT * FROM jobs
  WHERE kind = wanted_kind AND due_since IS NOT NULL AND due_since <= $2
  ORDER BY due_since, id
  LIMIT 1
  FOR UPDATE SKIP LOCKED
) AS due
ORDER BY due_since, id
LIMIT 1
