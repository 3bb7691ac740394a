DELETE FROM answers WHERE place IN (
  SELECT place FROM (
    SELECT place, at, answer, row_number() OVER (ORDER BY at DESC, place DESC) AS younger FROM answers
  ) AS ranked
  WHERE at < $1 OR (younger > $2 AND answer IS NOT NULL)
  ORDER BY at, place
  LIMIT $3
)
