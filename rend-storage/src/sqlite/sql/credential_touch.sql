UPDATE credentials SET last_used_at = max(coalesce(last_used_at, :now), :now) WHERE id = :id
