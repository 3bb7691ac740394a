SELECT seq, asset, at FROM purges WHERE seq > $1 ORDER BY seq LIMIT $2
