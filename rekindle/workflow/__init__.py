"""What runs: the kinds of task, waiting, running through Airflow, backfill, and what is due."""
