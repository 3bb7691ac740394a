SELECT * FROM credentials WHERE digest = :digest
