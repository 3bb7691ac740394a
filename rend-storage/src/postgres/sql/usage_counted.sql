SELECT * FROM counted_hours WHERE hour >= $1 AND hour < $2 ORDER BY hour
