INSERT INTO player_events (view, seq, at, org, asset, viewer, phase, startup_ms, playing_ms, stalled_ms, rung, edge, device)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT DO NOTHING
