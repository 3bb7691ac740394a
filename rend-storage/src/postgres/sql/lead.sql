INSERT INTO leads (name, holder, expires) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
WHERE leads.holder = excluded.holder OR leads.expires <= $4
