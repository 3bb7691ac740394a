UPDATE uploads SET state = :state WHERE id = :id
