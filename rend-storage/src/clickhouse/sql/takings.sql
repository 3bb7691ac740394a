-- What one viewer took of one segment in one stretch first, then how often the same much was taken.
WITH part AS (
  SELECT hex(asset) AS asset_hex, hex(org) AS owner, path,
    sum(least(bytes_sent, {most:UInt64})) AS taken,
    max(least(ifNull(object_bytes, 0), {most:UInt64})) AS entire
  FROM edge_events FINAL
  WHERE observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
    AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
    AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
    AND status IN (200, 206) AND bytes_sent != 0 AND path LIKE 'hls/%/segment\\_%'
  GROUP BY asset_hex, owner, path, if(session = '', toString(event_id), session), intDiv(observed_ms, {stretch_ms:UInt64})
)
SELECT asset_hex, owner, path, least(taken, entire) AS sent, entire, count()
FROM part
GROUP BY asset_hex, owner, path, sent, entire
HAVING (asset_hex, owner, path, sent, entire) > ({asset:String}, {owner:String}, {path:String}, {sent:UInt64}, {entire:UInt64})
ORDER BY asset_hex, owner, path, sent, entire
LIMIT {limit:UInt64}
SETTINGS do_not_merge_across_partitions_select_final = 1
