SELECT * FROM jobs WHERE asset = :asset ORDER BY id
