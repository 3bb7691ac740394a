INSERT INTO playback (
  id, node, observed_at, org, asset, session, path, object_bytes, bytes_sent, range_start, status, cache, ttfb_us,
  duration_ms, aborted, recorded_at
)
SELECT played.*, $16::bigint
FROM unnest(
  $1::bytea[], $2::text[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bytea[], $7::text[], $8::bigint[], $9::bigint[],
  $10::bigint[], $11::integer[], $12::text[], $13::bigint[], $14::bigint[], $15::boolean[]
) AS played
ON CONFLICT (id) DO NOTHING
RETURNING id
