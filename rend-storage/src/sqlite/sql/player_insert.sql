INSERT INTO player_events (view, seq, at, org, asset, viewer, phase, startup_ms, playing_ms, stalled_ms, rung, edge, device)
VALUES (:view, :seq, :at, :org, :asset, :viewer, :phase, :startup_ms, :playing_ms, :stalled_ms, :rung, :edge, :device)
ON CONFLICT DO NOTHING
