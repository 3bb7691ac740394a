INSERT INTO segment_lengths (asset, rendition, lengths) VALUES (:asset, :rendition, :lengths)
ON CONFLICT (asset, rendition) DO UPDATE SET lengths = excluded.lengths
