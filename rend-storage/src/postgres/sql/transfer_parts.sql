SELECT start, bytes, epoch FROM upload_parts WHERE upload = $1 AND start >= $2 ORDER BY start LIMIT $3
