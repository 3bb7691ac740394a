-- Not a plain join: the deleted assets are few and come first.
SELECT events.seq FROM assets CROSS JOIN events
WHERE assets.source = 'deleted' AND assets.updated_at < :before
  AND events.asset = assets.id AND events.at < :before
ORDER BY assets.updated_at, assets.id, events.seq
LIMIT :limit
