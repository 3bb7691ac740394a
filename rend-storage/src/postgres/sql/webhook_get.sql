SELECT id, org, revision, document FROM webhook_endpoints WHERE id = $1
