SELECT seq FROM purges
WHERE at < :before AND seq <= :upto AND seq < (SELECT seq FROM sqlite_sequence WHERE name = 'purges')
ORDER BY seq
LIMIT :limit
