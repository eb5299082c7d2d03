"""
Sessions on the Spark server that the environment names (`SPARK_REMOTE`, or an Airflow connection), or of `spark-submit`.

The workers get our Python code as one zip named by its digest: a session cannot replace a module it was sent, and a worker
that runs code of another version than its driver is a defect that nobody finds.
"""

from __future__ import annotations

import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from rekindle import code
from rekindle.errors import InputError
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")

PACKAGES = ("rekindle", "spark_jobs", "ml")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""A fixed time in the zip, so that the same code has the same digest."""


def session() -> SparkSession:
    """A session on the server that SPARK_REMOTE names, with our code on its workers."""
    if not os.environ.get("SPARK_REMOTE"):
        raise InputError(
            "SPARK_REMOTE is not set: there is no Spark server to run on.",
            todo="Start the local platform with `rekindle up`, or set SPARK_REMOTE to your Spark Connect server.",
        )
    from pyspark.sql import SparkSession

    return with_code(SparkSession.builder.getOrCreate())


def with_code(spark: SparkSession) -> SparkSession:
    """Send our code to the workers of a session; once per session, whoever opened it."""
    archive = str(_code_zip(settings().home / "code"))
    if archive not in _sent(spark):
        if speaks_connect(spark):
            spark.addArtifacts(archive, pyfile=True)
        else:
            spark.sparkContext.addPyFile(archive)
        # Spark also puts the zip before our own folders here, where templates and contracts stand beside the code.
        sys.path[:] = [entry for entry in sys.path if entry != archive]
        _sent(spark).add(archive)
    return spark


def speaks_connect(spark: SparkSession) -> bool:
    """Whether a session is a client of a Spark Connect server, and not a driver that `spark-submit` has started."""
    from pyspark.sql.connect.session import SparkSession as ClientSession

    return isinstance(spark, ClientSession)


def send_file(spark: SparkSession, path: Path) -> None:
    """Give a file to the workers, once per session, where `SparkFiles` finds it."""
    if speaks_connect(spark):
        spark.addArtifacts(str(path), file=True)
    else:
        spark.sparkContext.addFile(str(path))


@contextmanager
def beside(spark: SparkSession, work: Callable[[], T]) -> Iterator[Future[T]]:
    """
    Do `work` in a second thread during the block: a small query keeps one core busy at most.

    The block ends when both have ended. What breaks it off, also a time limit or Ctrl-C, interrupts the work's query.
    """
    tag = f"beside-{uuid4().hex}"

    def tagged() -> T:
        spark.addTag(tag)  # of the queries of this thread
        return work()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(tagged)
        try:
            yield future
            wait([future])
        except BaseException:
            spark.interruptTag(tag)
            raise


def stream(frame: DataFrame) -> pa.RecordBatchReader:
    """
    Return a frame's rows as Arrow batches that arrive while they are read: memory holds one at a time.

    The query begins with the first batch. Spark offers all rows at once (`toArrow`) or one by one (`toLocalIterator`): this
    is the client's iterator that the latter stands on, and the only place that knows of it. A driver of `spark-submit` has no
    such iterator, and holds all rows.
    """
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    if not speaks_connect(frame.sparkSession):
        return frame.toArrow().to_reader()
    schema = to_arrow_schema(frame.schema, error_on_duplicated_field_names_in_struct=True)

    def batches() -> Iterator[pa.RecordBatch]:
        connect: Any = frame  # the frames of Spark Connect have what the types of the common class do not tell
        client, plan = connect.sparkSession.client, connect._plan  # noqa: SLF001 - see above
        for part in client.to_table_as_iterator(plan.to_proto(client), plan.observations):
            if isinstance(part, pa.Table):  # what comes first is the schema
                yield from part.cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _sent(spark: SparkSession) -> set[str]:
    """What this session was sent, kept on the session itself: it dies with it."""
    return spark.__dict__.setdefault("_rekindle_sent", set())


@cache
def _code_zip(folder: Path) -> Path:
    """Zip our code into a folder, once in a process: it runs the code that it has loaded."""
    files = sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*.py"))
    target = folder / f"rekindle-{code.digest(files)[:16]}.zip"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed: two processes that start at once must not send half a zip.
        aside = target.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.writestr(zipfile.ZipInfo(str(path.relative_to(PROJECT)), EPOCH), path.read_bytes())
        aside.replace(target)
    return target
