WITH placed AS (
  UPDATE heads SET seq = seq + 1 WHERE log = 'revocations' RETURNING seq
)
INSERT INTO revocations (seq, kind, subject, issued_before, at, expires_at)
SELECT seq, $1::text, $2::text, $3::bigint, $4::bigint, $5::bigint FROM placed
RETURNING seq
