INSERT INTO segment_lengths (asset, rendition, lengths) VALUES ($1, $2, $3)
ON CONFLICT (asset, rendition) DO UPDATE SET lengths = excluded.lengths
