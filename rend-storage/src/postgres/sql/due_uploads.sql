SELECT id FROM uploads WHERE state <> 'open' AND expires_at < $1 ORDER BY expires_at, id LIMIT $2
