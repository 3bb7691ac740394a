-- What one viewer took of one segment in one stretch first, then how often the same much was taken.
WITH part AS (
  SELECT asset, coalesce(org, x'') AS owner, path,
    sum(CASE WHEN bytes_sent NOT BETWEEN 0 AND :most THEN :most ELSE bytes_sent END) AS taken,
    max(CASE WHEN object_bytes NOT BETWEEN 0 AND :most THEN :most ELSE coalesce(object_bytes, 0) END) AS entire
  FROM playback
  WHERE observed_at >= :from AND observed_at < :until AND status IN (200, 206) AND bytes_sent <> 0
    AND path GLOB 'hls/*/segment_*'
  GROUP BY asset, owner, path, coalesce(session, id), observed_at / :stretch_ms
)
SELECT asset, owner, path, min(taken, entire) AS sent, entire, count(*) AS times
FROM part
GROUP BY 1, 2, 3, 4, 5
HAVING (asset, owner, path, sent, entire) > (:asset, :owner, :path, :sent, :entire)
ORDER BY 1, 2, 3, 4, 5
LIMIT :limit
