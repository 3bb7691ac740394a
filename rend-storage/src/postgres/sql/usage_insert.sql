INSERT INTO usage (org, hour, tier, revision, micros, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
