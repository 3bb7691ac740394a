SELECT
  COALESCE((SELECT SUM(stored_bytes) FROM assets WHERE org = :org AND source <> 'deleted'), 0)
  + COALESCE((
    SELECT SUM(bytes_expected) FROM uploads
    WHERE org = :org AND state = 'open'
      AND NOT EXISTS (SELECT 1 FROM assets WHERE assets.id = uploads.asset AND assets.stored_bytes IS NOT NULL)
  ), 0) AS bytes
