SELECT * FROM webhook_endpoints WHERE org = :org ORDER BY id
