SELECT seq FROM purges
WHERE at < $1 AND seq <= $3 AND seq < (SELECT heads.seq FROM heads WHERE log = 'purges')
ORDER BY seq
LIMIT $2
