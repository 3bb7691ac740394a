INSERT INTO upload_parts (upload, start, bytes, epoch)
SELECT $1::uuid, part.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS part
