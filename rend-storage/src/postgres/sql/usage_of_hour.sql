SELECT org, usage.hour AS hour, tier, max(revision) AS revision, greatest(0, sum(micros))::bigint AS total, complete,
  counted_hours.at AS at
FROM usage JOIN counted_hours ON counted_hours.hour = usage.hour
WHERE usage.hour = $1
GROUP BY org, usage.hour, tier, complete, counted_hours.at
ORDER BY org, tier
