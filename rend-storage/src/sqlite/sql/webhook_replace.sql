UPDATE webhook_endpoints SET revision = revision + 1, document = :document
WHERE id = :id AND revision = :revision
RETURNING *
