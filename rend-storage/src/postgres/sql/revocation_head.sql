SELECT seq FROM heads WHERE log = 'revocations'
