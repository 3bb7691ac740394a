SELECT cache, status, count(*) AS requests
FROM playback WHERE asset = $1 AND observed_at >= $2 AND observed_at < $3 AND org = $4
GROUP BY cache, status
