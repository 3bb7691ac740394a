SELECT * FROM accounts WHERE node = :node AND boot = :boot
