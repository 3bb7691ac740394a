INSERT INTO webhook_endpoints (id, org, revision, document)
SELECT :id, :org, :revision, :document
WHERE (SELECT count(*) FROM webhook_endpoints WHERE org = :org) < :most
ON CONFLICT DO NOTHING
