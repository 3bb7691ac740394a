-- An account that is not there yet begins empty; either way it is held.
INSERT INTO accounts (node, boot, received, seq_max, dropped_total) VALUES ($1, $2, 0, 0, 0)
ON CONFLICT (node, boot) DO UPDATE SET received = accounts.received
RETURNING node, boot, received, seq_max, dropped_total
