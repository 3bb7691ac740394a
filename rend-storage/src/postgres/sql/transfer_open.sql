SELECT count(*) AS open FROM uploads WHERE org = $1 AND state = 'open'
