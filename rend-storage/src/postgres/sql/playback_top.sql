SELECT asset FROM playback
WHERE org = $1 AND observed_at >= $2 AND observed_at < $3
GROUP BY asset
ORDER BY count(*) DESC, asset
LIMIT $4
