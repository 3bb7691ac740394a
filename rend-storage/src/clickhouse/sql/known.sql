SELECT DISTINCT hex(event_id)
FROM edge_event_ids
WHERE event_id BETWEEN toFixedString(unhex({lowest:String}), 16) AND toFixedString(unhex({highest:String}), 16)
  AND arrayExists(
    (first, last) -> event_id BETWEEN toFixedString(unhex(first), 16) AND toFixedString(unhex(last), 16),
    {firsts:Array(String)}, {lasts:Array(String)}
  )
