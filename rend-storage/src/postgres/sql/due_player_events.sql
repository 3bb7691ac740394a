SELECT view, seq FROM player_events WHERE at < $1 ORDER BY at, view, seq LIMIT $2
