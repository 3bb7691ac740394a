INSERT INTO leads (name, holder, expires) VALUES (:name, :holder, :expires)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
WHERE leads.holder = excluded.holder OR leads.expires <= :now
