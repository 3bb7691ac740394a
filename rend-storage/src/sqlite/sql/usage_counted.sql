SELECT * FROM counted_hours WHERE hour >= :from AND hour < :until ORDER BY hour
