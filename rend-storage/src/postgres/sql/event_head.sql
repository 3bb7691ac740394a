SELECT seq FROM heads WHERE log = 'events'
