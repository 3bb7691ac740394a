SELECT count(*) AS open FROM uploads WHERE org = :org AND state = 'open'
