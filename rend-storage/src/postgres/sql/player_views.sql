SELECT view, edge, rung, asset, viewer, device, count(*) FILTER (WHERE phase = 'play_intent') AS intents,
  min(startup_ms) AS startup_ms, sum(playing_ms)::bigint AS playing_ms, sum(stalled_ms)::bigint AS stalled_ms,
  count(*) FILTER (WHERE phase = 'error') AS errors, count(*) FILTER (WHERE phase = 'end') AS ends, max(at) AS last_at
FROM player_events
WHERE org = $1 AND at >= $2 AND at < $3 AND (view, edge, rung) > ($4::bytea, $5::text, $6::text)
GROUP BY view, edge, rung, asset, viewer, device
ORDER BY view, edge, rung
LIMIT $7
