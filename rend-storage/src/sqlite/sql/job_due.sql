SELECT * FROM jobs
WHERE kind = :kind AND due_since IS NOT NULL AND due_since <= :now
ORDER BY due_since, id
LIMIT 1
