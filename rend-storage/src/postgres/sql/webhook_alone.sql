SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || $1::text, 0))
