UPDATE accounts SET received = $3, seq_max = $4, dropped_total = $5 WHERE node = $1 AND boot = $2
