UPDATE webhook_endpoints SET revision = revision + 1, document = $3
WHERE id = $1 AND revision = $2
RETURNING id, org, revision, document
