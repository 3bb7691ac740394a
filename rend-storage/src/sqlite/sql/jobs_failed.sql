SELECT * FROM jobs WHERE state = 'failed' AND id > :after ORDER BY id LIMIT :limit
