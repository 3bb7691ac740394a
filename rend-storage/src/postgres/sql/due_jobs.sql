SELECT id FROM jobs
WHERE state IN ('succeeded', 'failed') AND updated_at < $1 AND NOT (kind = 'delete' AND state = 'failed')
  AND NOT EXISTS (
    SELECT 1 FROM assets WHERE assets.id = jobs.asset AND assets.source NOT IN ('ready', 'failed', 'deleted')
  )
  AND NOT EXISTS (
    SELECT 1 FROM jobs AS other WHERE other.asset = jobs.asset AND other.state NOT IN ('succeeded', 'failed')
  )
ORDER BY updated_at, id
LIMIT $2
