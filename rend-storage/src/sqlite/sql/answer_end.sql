UPDATE answers SET answer = :answer WHERE place = :place AND holder = :holder AND answer IS NULL
