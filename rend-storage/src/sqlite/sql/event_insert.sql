INSERT INTO events (asset, asset_seq, org, at, name, data) VALUES (:asset, :asset_seq, :org, :at, :name, :data)
RETURNING seq
