SELECT cache, status, count(*) AS requests
FROM playback WHERE asset = $1 AND observed_at >= $2 AND observed_at < $3
GROUP BY cache, status
