UPDATE answers SET until = $3 WHERE place = $1 AND holder = $2 AND answer IS NULL
