INSERT INTO counted_hours (hour, records, complete, uncounted, pass, at)
SELECT :hour, :records, :complete, :uncounted, :pass + 1, :at
WHERE :pass = coalesce((SELECT pass FROM counted_hours WHERE hour = :hour), 0)
ON CONFLICT (hour) DO UPDATE SET records = excluded.records, complete = excluded.complete,
  uncounted = excluded.uncounted, pass = excluded.pass, at = excluded.at
