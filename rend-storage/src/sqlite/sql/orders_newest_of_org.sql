SELECT * FROM orders WHERE seq = (SELECT max(seq) FROM orders WHERE kind = 'org' AND subject = :org)
