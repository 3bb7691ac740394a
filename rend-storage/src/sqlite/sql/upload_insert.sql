INSERT INTO uploads (id, asset, org, bytes_expected, state, expires_at, created_at)
VALUES (:id, :asset, :org, :bytes_expected, :state, :expires_at, :created_at)
ON CONFLICT (id) DO NOTHING
