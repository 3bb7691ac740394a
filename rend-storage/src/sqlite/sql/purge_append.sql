INSERT INTO purges (asset, at) VALUES (:asset, :at) RETURNING seq
