-- By the catalogue's own rows: what a connection remembers of names may be older than the lock that it waited for.
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_class
  WHERE relname = 'rend_schema' AND relkind = 'r' AND pg_catalog.pg_table_is_visible(oid)
)
