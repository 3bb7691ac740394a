UPDATE answers SET until = :until WHERE place = :place AND holder = :holder AND answer IS NULL
