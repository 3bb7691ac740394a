SELECT intDiv(observed_ms, 3600000) AS hours, node, substring(hex(event_id), 1, 16) AS boot, count(),
  hex(min(event_id)), hex(max(event_id))
FROM edge_events FINAL
WHERE observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
  AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
  AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
GROUP BY hours, node, boot
ORDER BY hours, node, boot
SETTINGS do_not_merge_across_partitions_select_final = 1
