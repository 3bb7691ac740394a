SELECT org, usage.hour AS hour, tier, max(revision) AS revision, max(0, sum(micros)) AS total, complete, counted_hours.at AS at
FROM usage JOIN counted_hours ON counted_hours.hour = usage.hour
WHERE org = :org AND usage.hour >= :from AND usage.hour < :until
  AND (usage.hour < :hour OR (usage.hour = :hour AND tier > :tier))
GROUP BY org, usage.hour, tier
ORDER BY usage.hour DESC, tier
LIMIT :limit
