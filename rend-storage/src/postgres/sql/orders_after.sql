SELECT seq, kind, subject, action, ordered_by, reason, at FROM orders WHERE seq > $1 ORDER BY seq LIMIT $2
