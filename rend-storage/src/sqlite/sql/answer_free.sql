DELETE FROM answers WHERE place = :place AND holder = :holder AND answer IS NULL
