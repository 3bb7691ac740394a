SELECT asset FROM playback
WHERE org = :org AND observed_at >= :from AND observed_at < :until
GROUP BY asset
ORDER BY count(*) DESC, asset
LIMIT :top
