INSERT INTO uploads
  (id, asset, org, bytes_expected, state, expires_at, created_at, received, epoch, note, pull_url, pull_validator)
VALUES
  (:id, :asset, :org, :bytes_expected, :state, :expires_at, :created_at, :received, :epoch, :note, :pull_url,
   :pull_validator)
ON CONFLICT (id) DO NOTHING
