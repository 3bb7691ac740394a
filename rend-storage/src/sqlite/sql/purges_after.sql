SELECT * FROM purges WHERE seq > :seq ORDER BY seq LIMIT :limit
