"""Score tables: one file per product."""
