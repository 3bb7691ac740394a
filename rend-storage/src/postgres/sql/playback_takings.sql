-- What one viewer took of one segment in one stretch first, then how often the same much was taken.
WITH part AS (
  SELECT asset, coalesce(uuid_send(org), ''::bytea) AS owner, path COLLATE "C" AS path,
    sum(CASE WHEN bytes_sent NOT BETWEEN 0 AND $3::bigint THEN $3 ELSE bytes_sent END)::bigint AS taken,
    max(CASE WHEN object_bytes NOT BETWEEN 0 AND $3 THEN $3 ELSE coalesce(object_bytes, 0) END) AS entire
  FROM playback
  WHERE observed_at >= $1 AND observed_at < $2 AND status IN (200, 206) AND bytes_sent <> 0
    AND path LIKE 'hls/%/segment\_%'
  GROUP BY asset, owner, path COLLATE "C", coalesce(session, id), observed_at / $4::bigint
), taking AS (
  SELECT asset, owner, path, least(taken, entire) AS sent, entire, count(*) AS times
  FROM part
  GROUP BY 1, 2, 3, 4, 5
)
SELECT * FROM taking
WHERE (asset, owner, path, sent, entire) > ($5::uuid, $6::bytea, $7::text COLLATE "C", $8::bigint, $9::bigint)
ORDER BY asset, owner, path, sent, entire
LIMIT $10
