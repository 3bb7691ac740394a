SELECT hex(asset)
FROM edge_events FINAL
WHERE org = unhex({org:String})
  AND observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
  AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
  AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
GROUP BY asset
ORDER BY count() DESC, asset
LIMIT {top:UInt64}
SETTINGS do_not_merge_across_partitions_select_final = 1
