"""The warehouse's tables: what each is built from, what of it is stale, and what is to be built."""
