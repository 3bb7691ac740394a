SELECT * FROM upload_parts WHERE upload = :upload AND start >= :from ORDER BY start LIMIT :limit
