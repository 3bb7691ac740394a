SELECT * FROM uploads
WHERE state = 'open' AND received <> 0 AND received = bytes_expected
ORDER BY id LIMIT :limit
