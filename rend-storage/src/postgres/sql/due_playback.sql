SELECT id FROM playback
WHERE observed_at < $1 AND recorded_at < $1
  AND EXISTS (
    SELECT 1 FROM counted_hours
    WHERE hour = playback.observed_at - playback.observed_at % 3600000 AND counted_hours.at >= playback.recorded_at
  )
ORDER BY observed_at, id
LIMIT $2
