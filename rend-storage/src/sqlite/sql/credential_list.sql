SELECT * FROM credentials WHERE org = :org ORDER BY id
