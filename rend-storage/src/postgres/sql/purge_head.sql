SELECT seq FROM heads WHERE log = 'purges'
