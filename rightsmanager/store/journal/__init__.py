"""The journal's database: a SQLite file of its own, or tables of its own on PostgreSQL."""
