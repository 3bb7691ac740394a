SELECT view, edge, rung, asset, viewer, device, sum(phase = 'play_intent') AS intents, min(startup_ms) AS startup_ms,
  sum(playing_ms) AS playing_ms, sum(stalled_ms) AS stalled_ms, sum(phase = 'error') AS errors,
  sum(phase = 'end') AS ends, max(at) AS last_at
FROM player_events
WHERE org = :org AND at >= :from AND at < :until AND (view, edge, rung) > (:view, :edge, :rung)
GROUP BY view, edge, rung, asset, viewer, device
ORDER BY view, edge, rung
LIMIT :limit
