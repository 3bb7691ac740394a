INSERT INTO orders (kind, subject, action, ordered_by, reason, at)
VALUES (:kind, :subject, :action, :ordered_by, :reason, :at)
RETURNING seq
