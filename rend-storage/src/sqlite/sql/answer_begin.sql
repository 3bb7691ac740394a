INSERT INTO answers (place, asked, at, holder, until, answer) VALUES (:place, :asked, :at, :holder, :until, NULL)
ON CONFLICT (place) DO UPDATE SET asked = excluded.asked, at = excluded.at, holder = excluded.holder,
  until = excluded.until, answer = NULL
