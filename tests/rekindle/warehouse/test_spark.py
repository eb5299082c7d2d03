from __future__ import annotations

import time

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException

from rekindle.warehouse.spark import beside, stream


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


def test_a_stream_holds_the_rows_of_a_frame_in_order_and_in_batches(spark):
    frame = spark.range(30_000, numPartitions=3).selectExpr(
        "cast(id as string) as user_id",
        "cast(id % 7 as decimal(18,2)) as ltv",
        "if(id % 2 = 0, null, array(struct(id as words))) as reasons",
    )
    ordered = frame.orderBy("user_id")

    reader = stream(ordered)
    batches = list(reader)

    assert len(batches) > 1
    assert pa.Table.from_batches(batches, reader.schema) == ordered.toArrow()
    assert stream(frame.where("false")).read_all() == frame.where("false").toArrow()


def test_a_query_that_fails_while_it_streams_fails_its_reader(spark):
    broken = stream(spark.range(10).selectExpr("if(id = 9, raise_error('broken'), id) as n"))

    with pytest.raises(PySparkException, match="broken"):
        broken.read_all()
