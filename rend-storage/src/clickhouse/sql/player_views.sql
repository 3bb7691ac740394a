SELECT hex(view) AS view_hex, edge, rung, hex(asset), hex(viewer), device, countIf(phase = 'play_intent'),
  ifNull(toString(min(startup_ms)), ''), sum(playing_ms), sum(stalled_ms), countIf(phase = 'error'), countIf(phase = 'end'), max(observed_ms)
FROM player_events FINAL
WHERE org = toFixedString(unhex({org:String}), 16)
  AND observed_at >= fromUnixTimestamp64Milli({from_place:Int64}, 'UTC')
  AND observed_at <= fromUnixTimestamp64Milli({until_place:Int64}, 'UTC')
  AND observed_ms >= {from:UInt64} AND observed_ms < {until:UInt64}
  AND (hex(view), edge, rung) > ({view:String}, {edge:String}, {rung:String})
GROUP BY view, edge, rung, asset, viewer, device
ORDER BY view_hex, edge, rung
LIMIT {limit:UInt64}
SETTINGS do_not_merge_across_partitions_select_final = 1
