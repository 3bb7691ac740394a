SELECT lengths FROM segment_lengths WHERE asset = :asset AND rendition = :rendition
