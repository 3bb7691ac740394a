SELECT * FROM uploads WHERE id = :id
