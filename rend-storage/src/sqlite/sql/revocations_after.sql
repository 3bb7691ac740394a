SELECT * FROM revocations
WHERE seq > :seq AND (expires_at IS NULL OR expires_at > :now)
ORDER BY seq LIMIT :limit
