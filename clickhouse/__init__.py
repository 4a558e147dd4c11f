"""The tables and the query library, as SQL: `schema.sql`, `migrations/*.sql`, `queries/*.sql`."""
