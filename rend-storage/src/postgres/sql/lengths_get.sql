SELECT lengths FROM segment_lengths WHERE asset = $1 AND rendition = $2
