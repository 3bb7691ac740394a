DELETE FROM answers WHERE place IN (
  SELECT place FROM (
    SELECT place, at, answer, row_number() OVER (ORDER BY at DESC, place DESC) AS younger FROM answers
  )
  WHERE at < :before OR (younger > :most AND answer IS NOT NULL)
  ORDER BY at, place
  LIMIT :limit
)
