INSERT INTO webhook_endpoints (id, org, revision, document)
SELECT $1::uuid, $2::uuid, $3::bigint, $4::text
WHERE (SELECT count(*) FROM webhook_endpoints WHERE org = $2) < $5::bigint
ON CONFLICT DO NOTHING
