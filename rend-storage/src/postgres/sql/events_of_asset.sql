SELECT seq, asset, asset_seq, org, at, name, data
FROM events WHERE asset = $1 AND seq > $2
ORDER BY seq LIMIT $3
