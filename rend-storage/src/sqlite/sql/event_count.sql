UPDATE assets SET event_count = event_count + 1 WHERE id = :asset RETURNING event_count, org
