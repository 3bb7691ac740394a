WITH placed AS (
  UPDATE heads SET seq = seq + 1 WHERE log = 'purges' RETURNING seq
)
INSERT INTO purges (seq, asset, at) SELECT seq, $1::uuid, $2::bigint FROM placed
RETURNING seq
