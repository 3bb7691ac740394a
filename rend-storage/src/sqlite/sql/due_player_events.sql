SELECT view, seq FROM player_events WHERE at < :before ORDER BY at, view, seq LIMIT :limit
