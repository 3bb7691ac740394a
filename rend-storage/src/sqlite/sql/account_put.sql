INSERT OR REPLACE INTO accounts (node, boot, received, seq_max, dropped_total)
VALUES (:node, :boot, :received, :seq_max, :dropped_total)
