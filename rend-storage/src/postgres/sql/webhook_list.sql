SELECT id, org, revision, document FROM webhook_endpoints WHERE org = $1 ORDER BY id
