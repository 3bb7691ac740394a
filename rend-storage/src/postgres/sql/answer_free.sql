DELETE FROM answers WHERE place = $1 AND holder = $2 AND answer IS NULL
