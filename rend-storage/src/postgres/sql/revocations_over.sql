DELETE FROM revocations WHERE expires_at <= $1 AND seq < $2
