SELECT * FROM assets WHERE org = :org AND source <> 'deleted' AND id < :before ORDER BY id DESC LIMIT :limit
