"""SQL: what is kept for good. Tables and queries that SQLite and Postgres both speak."""
