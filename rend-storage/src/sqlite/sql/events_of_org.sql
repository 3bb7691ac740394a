SELECT * FROM events WHERE org = :of AND seq > :seq ORDER BY seq LIMIT :limit
