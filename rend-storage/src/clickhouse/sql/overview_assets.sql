SELECT hex(asset), grouping(cache) AS is_sum, cache, status, count(), uniqExactIf(session, session != ''), sum(toUInt128(bytes_sent)), min(observed_ms), max(observed_ms)
FROM edge_events FINAL
WHERE org = unhex({org:String})
  AND observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
  AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
  AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
  AND asset IN (SELECT toFixedString(unhex(arrayJoin({assets:Array(String)})), 16))
GROUP BY GROUPING SETS ((asset, cache, status), (asset))
SETTINGS do_not_merge_across_partitions_select_final = 1
