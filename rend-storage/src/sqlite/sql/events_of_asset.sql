SELECT * FROM events WHERE asset = :of AND seq > :seq ORDER BY seq LIMIT :limit
