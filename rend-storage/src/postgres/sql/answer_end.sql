UPDATE answers SET answer = $3 WHERE place = $1 AND holder = $2 AND answer IS NULL
