INSERT INTO upload_parts (upload, start, bytes, epoch) VALUES (:upload, :start, :bytes, :epoch)
