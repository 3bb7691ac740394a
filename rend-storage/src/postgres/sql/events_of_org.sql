SELECT seq, asset, asset_seq, org, at, name, data
FROM events WHERE org = $1 AND seq > $2
ORDER BY seq LIMIT $3
