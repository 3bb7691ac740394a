INSERT INTO playback (
  id, node, observed_at, org, asset, session, path, object_bytes, bytes_sent, range_start, status, cache, ttfb_us,
  duration_ms, aborted, recorded_at
) VALUES (
  :id, :node, :observed_at, :org, :asset, :session, :path, :object_bytes, :bytes_sent, :range_start, :status, :cache,
  :ttfb_us, :duration_ms, :aborted, :recorded_at
) ON CONFLICT (id) DO NOTHING
