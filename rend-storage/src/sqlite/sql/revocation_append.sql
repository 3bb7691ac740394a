INSERT INTO revocations (kind, subject, issued_before, at, expires_at)
VALUES (:kind, :subject, :issued_before, :at, :expires_at)
RETURNING seq
