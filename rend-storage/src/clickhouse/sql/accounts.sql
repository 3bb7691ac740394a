-- Names are taken apart as hexadecimal digits: as text, a name would end before its zero bytes.
SELECT node, run, sum(received), max(seq_max), max(dropped)
FROM (
  SELECT node, substring(hex(event_id), 1, 16) AS run, count() AS received,
    max(reinterpretAsUInt64(reverse(unhex(substring(hex(event_id), 17))))) AS seq_max, toUInt64(0) AS dropped
  FROM edge_event_ids FINAL
  GROUP BY node, run
  UNION ALL
  SELECT node, hex(boot) AS run, toUInt64(0) AS received, toUInt64(0) AS seq_max, max(dropped) AS dropped
  FROM ingest_batches
  GROUP BY node, run
)
GROUP BY node, run
ORDER BY node, run
