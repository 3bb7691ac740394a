DELETE FROM upload_parts WHERE upload = :upload
