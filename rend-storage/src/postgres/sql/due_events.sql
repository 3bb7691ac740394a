SELECT events.seq FROM assets JOIN events ON events.asset = assets.id
WHERE assets.source = 'deleted' AND assets.updated_at < $1 AND events.at < $1
ORDER BY assets.updated_at, assets.id, events.seq
LIMIT $2
