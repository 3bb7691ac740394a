SELECT org, usage.hour AS hour, tier, max(revision) AS revision, max(0, sum(micros)) AS total, complete, counted_hours.at AS at
FROM usage JOIN counted_hours ON counted_hours.hour = usage.hour
WHERE usage.hour = :hour
GROUP BY org, usage.hour, tier
ORDER BY org, tier
