SELECT * FROM orders WHERE seq > :seq ORDER BY seq LIMIT :limit
