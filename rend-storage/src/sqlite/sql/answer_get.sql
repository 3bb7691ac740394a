SELECT asked, at, until, answer FROM answers WHERE place = :place
