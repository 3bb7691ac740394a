SELECT * FROM accounts ORDER BY node, boot
