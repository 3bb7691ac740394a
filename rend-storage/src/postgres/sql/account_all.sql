SELECT node, boot, received, seq_max, dropped_total FROM accounts ORDER BY node, boot
