SELECT * FROM orders WHERE seq IN (
  (SELECT max(seq) FROM orders WHERE kind = 'asset' AND subject = :asset),
  (SELECT max(seq) FROM orders WHERE kind = 'org' AND subject = (SELECT org FROM assets WHERE id = :asset))
) AND EXISTS (SELECT 1 FROM assets WHERE id = :asset)
