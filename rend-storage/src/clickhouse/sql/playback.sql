SELECT grouping(cache) AS is_sum, cache, status, count(), uniqExactIf(session, session != ''), sum(toUInt128(bytes_sent)), min(observed_ms), max(observed_ms)
FROM edge_events FINAL
WHERE asset = toFixedString(unhex({asset:String}), 16)
  AND observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
  AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
  AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
GROUP BY GROUPING SETS ((cache, status), ())
SETTINGS do_not_merge_across_partitions_select_final = 1
