SELECT node, if(path LIKE 'hls/%/segment\\_%', splitByChar('/', path)[2], '') AS rung, count(), sum(toUInt128(bytes_sent))
FROM edge_events FINAL
WHERE org = unhex({org:String})
  AND observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
  AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
  AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
GROUP BY node, rung
ORDER BY node, rung
SETTINGS do_not_merge_across_partitions_select_final = 1
