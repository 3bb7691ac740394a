SELECT newest.seq, newest.kind, newest.subject, newest.action, newest.ordered_by, newest.reason, newest.at
FROM assets CROSS JOIN LATERAL (
  (SELECT * FROM orders WHERE kind = 'asset' AND subject = assets.id ORDER BY seq DESC LIMIT 1)
  UNION ALL
  (SELECT * FROM orders WHERE kind = 'org' AND subject = assets.org ORDER BY seq DESC LIMIT 1)
) AS newest
WHERE assets.id = $1
