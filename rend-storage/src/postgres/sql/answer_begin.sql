UPDATE answers SET asked = $2, at = $3, holder = $4, until = $5, answer = NULL WHERE place = $1
