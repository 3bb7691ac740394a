-- A row to hold, so that of several that begin one name at once each sees what the one before it wrote. A new row is given
-- up already: its lease ends before it begins.
INSERT INTO answers (place, asked, at, holder, until) VALUES ($1, $2, $3, $4, $3)
ON CONFLICT (place) DO UPDATE SET place = excluded.place
RETURNING asked, at, until, answer
