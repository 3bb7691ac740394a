SELECT observed_at / 3600000 AS hours, node COLLATE "C" AS node, substring(id FROM 1 FOR 8) AS boot,
  count(*) AS records, min(encode(id, 'hex') COLLATE "C") AS first_id, max(encode(id, 'hex') COLLATE "C") AS last_id
FROM playback
WHERE observed_at >= $1 AND observed_at < $2
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
