from __future__ import annotations

import time

import pytest
from pyspark.errors import PySparkException

from rekindle.spark import beside


def test_work_beside_the_block_is_done_when_the_block_has_ended(spark):
    with beside(spark, lambda: spark.range(3).count()) as counted:
        assert spark.range(2).count() == 2

    assert counted.done()
    assert counted.result() == 3


def test_a_failure_beside_the_block_is_told_to_who_asks_for_the_result(spark):
    with beside(spark, lambda: spark.sql("SELECT raise_error('lost')").collect()) as failed:
        pass

    with pytest.raises(PySparkException, match="lost"):
        failed.result()


def test_what_breaks_the_block_off_interrupts_the_query_beside_it(spark):
    """A query of hours: without the interruption this test would not end."""
    endless = "SELECT count(*) FROM range(10000000) AS a CROSS JOIN range(10000000) AS b WHERE hash(a.id, b.id) = 0"
    with pytest.raises(TimeoutError), beside(spark, lambda: spark.sql(endless).collect()) as interrupted:  # noqa: PT012 - the block is what is tested
        time.sleep(3)  # until the query runs
        raise TimeoutError

    with pytest.raises(PySparkException):
        interrupted.result()
    assert spark.range(2).count() == 2, "Queries that are not its own go on."
