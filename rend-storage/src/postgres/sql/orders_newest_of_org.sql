SELECT * FROM orders WHERE kind = 'org' AND subject = $1 ORDER BY seq DESC LIMIT 1
