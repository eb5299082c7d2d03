"""A consumer that pulls changes by watermark while publishing goes on, and publishes beside it, some of them killed halfway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Self

import psycopg
import pyarrow as pa

from ml.products import product_named
from rekindle import records
from rekindle.days import Days
from rekindle.publishing import publish
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    import numpy as np

FIRST = date(2017, 6, 5)
CHANGED_SHARE = 0.2
LEAVES_SHARE = 0.1
ROWS_A_PULL = 500
"""Fewer than a publish changes, so that pulls end within what one publish has stamped."""

COLUMNS = (
    "user_id, updated_at, in_population, eligible, suppression_reason, return_probability, percentile, model_version"
)

PULL = f"""
select {COLUMNS} from sms.audience where (updated_at, user_id) > (%s, %s) order by updated_at, user_id limit {ROWS_A_PULL}
"""

KILLED = """
import os, signal, sys
from datetime import date
import pyarrow as pa
from ml.products import product_named
from rekindle import publishing

place, name, day, run_id = sys.argv[1:]
module = publishing if place == "publishing" else publishing.merge
before = getattr(module, name)

def dies(*arguments, **more):
    before(*arguments, **more)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(module, name, dies)
scores = pa.ipc.open_stream(sys.stdin.buffer).read_all()
publishing.publish({product_named("recall"): scores}, date.fromisoformat(day), run_id)
"""

STAGES = (
    ("merge", "merge_history"),
    ("merge", "merge_scores"),
    ("merge", "renew"),
    ("merge", "merge_query"),
    ("publishing", "_follow"),
)
"""After each of these a publish is killed once: the last one stands before the commit."""

REASONS = pa.list_(pa.struct([("feature", pa.string()), ("words", pa.string()), ("contribution", pa.float64())]))


@dataclass
class Consumer:
    """A tool with its copy of sms.audience: it logs in as a reader, and knows nothing but the last pair that it has seen."""

    url: str
    copy: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    pulls: int = 0
    wait_seconds: float = 0.01
    _last: tuple[Any, str] = ("-infinity", "")
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Pull what is left, and end."""
        self._ended.set()
        self._thread.join(timeout=60)

    def _follow(self) -> None:
        with psycopg.connect(self.url, autocommit=True, options="-c role=sms_reader") as connection:
            while True:
                has_ended = self._ended.is_set()
                if not self._pull(connection):
                    if has_ended:
                        return
                    self._ended.wait(self.wait_seconds)

    def _pull(self, connection: psycopg.Connection[Any]) -> bool:
        rows = connection.execute(PULL, self._last).fetchall()
        for row in rows:
            self.copy[row[0]] = row
            self._last = row[1], row[0]
        self.pulls += 1
        return bool(rows)


def published(url: str) -> dict[str, tuple[Any, ...]]:
    """Return the published table as its consumers ought to have it."""
    with psycopg.connect(url) as connection:
        return {row[0]: row for row in connection.execute(f"select {COLUMNS} from sms.audience")}


def publish_beside(drawn: np.random.Generator, publishes: int, kills: int, users: int) -> None:
    """Publish day after day, each time with some scores changed and some users gone; some publishes are killed halfway."""
    chances = drawn.random(users)
    to_kill = set(drawn.choice(range(1, publishes), kills, replace=False).tolist())
    stages = iter(STAGES * kills)
    for number in range(publishes):
        day = FIRST + timedelta(days=number)
        changed = drawn.random(users) < CHANGED_SHARE
        chances[changed] = drawn.random(changed.sum())
        there = drawn.random(users) >= LEAVES_SHARE
        scores = _scores(chances, there, day)
        run_id = records.start_run("daily", Days.one(day))
        if number in to_kill:
            _publish_and_die(scores, day, run_id, next(stages))
        else:
            publish({product_named("recall"): scores}, day, run_id)


def _publish_and_die(scores: pa.Table, day: date, run_id: str, stage: tuple[str, str]) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, scores.schema) as stream:
        stream.write_table(scores)
    killed = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", KILLED, *stage, str(day), run_id],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        input=sink.getvalue().to_pybytes(),
        check=False,
    )
    if killed.returncode != -signal.SIGKILL:
        raise RuntimeError(f"A publish was to die after {stage[1]} and did not.")


def _scores(chances: np.ndarray, there: np.ndarray, day: date) -> pa.Table:
    """Scores of recall as its job writes them."""
    users, found = there.nonzero()[0], chances[there]
    ranks = found.argsort().argsort()
    count = len(users)

    def same(value: object, of: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, of), count)

    return pa.table(
        {
            "day": same(day, pa.date32()),
            "user_id": [f"u{user:07}" for user in users],
            "return_probability": pa.array(found.round(3)),
            "lapsed_days": same(20, pa.int32()),
            "horizon_days": same(7, pa.int32()),
            **dict.fromkeys(("uplift", "uplift_low", "uplift_high"), same(None, pa.float64())),
            "raw_score": pa.array(found),
            "percentile": pa.array(1 + ranks * 100 // count, pa.int32()),
            "decile": pa.array(10 - ranks * 10 // count, pa.int32()),
            "reasons": pa.array([[]] * count, REASONS),
            "baseline": same(0.0, pa.float64()),
            "other_contribution": same(0.25, pa.float64()),
            "model_name": same("rekindle_recall", pa.string()),
            "model_version": same("1", pa.string()),
            "model_digest": same("a" * 64, pa.string()),
            "run_id": same("the run that scored", pa.string()),
            "is_backfilled": same(False, pa.bool_()),
        }
    )
