WITH placed AS (
  UPDATE heads SET seq = seq + 1 WHERE log = 'orders' RETURNING seq
)
INSERT INTO orders (seq, kind, subject, action, ordered_by, reason, at)
SELECT seq, $1::text, $2::uuid, $3::text, $4::text, $5::text, $6::bigint FROM placed
RETURNING seq
