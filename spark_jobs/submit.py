"""
One job by `spark-submit`, on any cluster manager: `spark-submit … spark_jobs/submit.py TABLE --day D [--run-id R]`.

TABLE is a table that a job builds, as `features.user_day`, or `raw.orders`, which is loaded. It writes, checks and releases
exactly what the same job does as a client of Spark Connect: the lock in Postgres keeps the two apart.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

# spark-submit puts the folder of this file on the path, and not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rekindle import records
from rekindle.days import Days, parse_day
from rekindle.warehouse.spark import with_code

RAW = "raw"


def submit(arguments: list[str]) -> None:
    """Build the table's day as a run of its own."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(prog="submit.py")
    parser.add_argument("table")
    parser.add_argument("--day", type=parse_day, required=True)
    given = parser.parse_args(arguments)
    days = Days.one(given.day)
    spark = with_code(SparkSession.builder.appName(f"rekindle {given.table} {given.day}").getOrCreate())
    run_id = records.start_run("submit", days)
    try:
        namespace, name = given.table.split(".")
        if namespace == RAW:
            import_module("spark_jobs.ingest.raw").main(spark, days, run_id, source=name)
        else:
            import_module(f"spark_jobs.{given.table}").main(spark, days, run_id)
    except BaseException as error:
        records.finish_run(run_id, "failed", type(error).__name__)
        raise
    records.finish_run(run_id, "done")


if __name__ == "__main__":
    submit(sys.argv[1:])
