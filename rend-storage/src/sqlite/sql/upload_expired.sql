SELECT * FROM uploads WHERE state = 'open' AND expires_at <= :now ORDER BY expires_at, id LIMIT :limit
