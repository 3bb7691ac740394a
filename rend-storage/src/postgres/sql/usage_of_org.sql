SELECT org, usage.hour AS hour, tier, max(revision) AS revision, greatest(0, sum(micros))::bigint AS total, complete,
  counted_hours.at AS at
FROM usage JOIN counted_hours ON counted_hours.hour = usage.hour
WHERE org = $1 AND usage.hour >= $2 AND usage.hour < $3 AND (usage.hour < $4 OR (usage.hour = $4 AND tier > $5))
GROUP BY org, usage.hour, tier, complete, counted_hours.at
ORDER BY usage.hour DESC, tier
LIMIT $6
