INSERT INTO counted_hours (hour, records, complete, uncounted, pass, at)
VALUES ($1, $2, $3, $4, 1, $6)
ON CONFLICT (hour) DO UPDATE SET records = excluded.records, complete = excluded.complete,
  uncounted = excluded.uncounted, pass = counted_hours.pass + 1, at = excluded.at
WHERE counted_hours.pass = $5
RETURNING pass
