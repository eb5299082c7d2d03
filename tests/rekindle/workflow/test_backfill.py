"""Parts of a backfill by themselves: what is built again of marts that are made of scores. Records in a real Postgres."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.progress import SILENT
from rekindle.warehouse import marts, spark
from rekindle.workflow import backfill

if TYPE_CHECKING:
    from tests.rekindle.conftest import Database

FIRST = date(2023, 5, 1)


def day(number: int) -> date:
    return FIRST + timedelta(number - 1)


@pytest.fixture
def built(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Days]]:  # noqa: ARG001 - runs are recorded there
    """The groups of marts that are built, which takes a Spark and is tested elsewhere, with their days."""
    found: list[tuple[str, Days]] = []
    monkeypatch.setattr(spark, "session", lambda: None)
    monkeypatch.setattr(marts, "build", lambda _spark, group, days, *_rest: found.append((group, days)))
    return found


def test_marts_of_scores_that_are_others_now_are_built_again_without_holes(built: list[tuple[str, Days]]):
    """Those that are built before any score are not its business, and the scores themselves neither."""
    stale = {
        "features.user": [day(1)],
        "marts.labels": [day(1)],
        "scores.recall_daily": [day(2)],
        "marts.score_outcomes": [day(5), day(3)],
    }
    told, said = backfill.Told(), []

    backfill._after_scores(stale, told, said.append, SILENT)

    assert built == [("outcomes", Days.between(day(3), day(5)))]
    assert told.built == {"marts.outcomes": 3}
    (run,) = records.runs(day(4))
    assert (run.kind, run.first_day, run.last_day, run.status) == ("history", day(3), day(5), "done")
    (stage,) = records.stages(run_id=run.run_id)
    assert (stage.stage, stage.status, stage.detail) == ("marts.outcomes", "done", {"days": 3})
    assert said[0].startswith("  marts.outcomes ")


def test_where_no_mart_of_scores_is_stale_nothing_is_recorded(built: list[tuple[str, Days]]):
    told = backfill.Told()

    backfill._after_scores({"marts.labels": [day(1)], "scores.recall_daily": [day(1)]}, told, print, SILENT)

    assert (built, told.built, records.runs(day(1))) == ([], {}, [])


@pytest.mark.usefixtures("built")
def test_a_mart_of_scores_that_fails_its_test_is_told_as_how_the_run_ended(monkeypatch: pytest.MonkeyPatch):
    def fail(*_arguments: Any) -> None:
        raise CheckFailedError("A decile has no users.", todo="Look.", code="check_failed")

    monkeypatch.setattr(marts, "build", fail)
    told = backfill.Told()

    with pytest.raises(CheckFailedError, match="A decile has no users"):
        backfill._after_scores({"marts.score_outcomes": [day(3)]}, told, print, SILENT)

    (run,) = records.runs(day(3))
    assert run.status == "failed" and "A decile has no users" in run.error
    assert told.built == {}
