-- Whoever would claim or finish the job waits until what is done under the lease is written.
SELECT FROM jobs WHERE id = $1 AND token = $2
FOR SHARE
