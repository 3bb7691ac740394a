SELECT id FROM uploads WHERE state <> 'open' AND expires_at < :before ORDER BY expires_at, id LIMIT :limit
