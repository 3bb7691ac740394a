SELECT * FROM jobs WHERE id = :id AND token = :token
