SELECT state, count(*) AS jobs, min(run_at) AS oldest_run_at FROM jobs WHERE state <> 'succeeded' GROUP BY state
