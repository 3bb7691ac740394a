SELECT (
  COALESCE((SELECT SUM(stored_bytes) FROM assets WHERE org = $1 AND source <> 'deleted'), 0)
  + COALESCE((
    SELECT SUM(bytes_expected) FROM uploads
    WHERE org = $1 AND state = 'open'
      AND NOT EXISTS (SELECT 1 FROM assets WHERE assets.id = uploads.asset AND assets.stored_bytes IS NOT NULL)
  ), 0)
)::bigint AS bytes
