SELECT seq, kind, subject, issued_before, at, expires_at
FROM revocations WHERE seq > $1 AND (expires_at IS NULL OR expires_at > $2)
ORDER BY seq LIMIT $3
