-- The asset's row is held before the log's, everywhere, so that nobody waits in a circle.
WITH counted AS (
  UPDATE assets SET event_count = event_count + 1 WHERE id = $1 RETURNING event_count, org
), placed AS (
  UPDATE heads SET seq = seq + 1 WHERE log = 'events' AND EXISTS (SELECT FROM counted) RETURNING seq
)
INSERT INTO events (seq, asset, asset_seq, org, at, name, data)
SELECT placed.seq, $1::uuid, counted.event_count, counted.org, $2::bigint, $3::text, $4::text FROM counted, placed
RETURNING seq, asset_seq, org
