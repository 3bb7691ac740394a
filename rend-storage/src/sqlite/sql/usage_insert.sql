INSERT INTO usage (org, hour, tier, revision, micros, at)
VALUES (:org, :hour, :tier, :revision, :micros, :at)
ON CONFLICT DO NOTHING
