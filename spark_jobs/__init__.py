"""One file per table that Spark writes, named after it."""
