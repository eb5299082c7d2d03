"""Who scored: the version of the published rows, its time in office and its verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.records import CheckResult, Gate, Promotion
from rekindle.report import scored_by, words
from rekindle.report.gathering import gather
from rekindle.report.page import judge, render
from tests.rekindle.report.test_page import text

DAY = date(2017, 6, 14)


def figures(**fields: Any) -> dict[str, Any]:
    """What an evaluation keeps of a horizon."""

    def figure(value: float) -> dict[str, dict[str, float]]:
        return {"auc": {"value": value, "low": value - 0.01, "high": value + 0.01}}

    base = {"primary": "auc", "rows": 100, "model": figure(0.76), "naive": figure(0.74), "difference": figure(0.02)}
    base |= {"is_rule": False, "made_by": ["boosted trees (LightGBM)"], "to_beat": ["recency", "gap_ratio"]}
    return base | fields


def a_gate(**fields: Any) -> Gate:
    base = Gate("recall", "1", "a" * 64, True, "auc 0.760 beats it", {"1_7": figures()}, None, DAY - timedelta(9))
    return replace(base, **fields)


def a_promotion(version: str, first: date, reason: str = "gate passed") -> Promotion:
    return Promotion(1, "recall", version, "a" * 64, first, reason, "run", None)  # type: ignore[arg-type]


def a_version(**fields: Any) -> scored_by.ScoredBy:
    base = scored_by.ScoredBy(
        product="recall",
        version="1",
        users=4,
        is_backfilled=False,
        since=DAY - timedelta(5),
        is_withdrawn=False,
        gate=a_gate(),
        compared=scored_by.compared({"1_7": figures()}),
        page=None,
    )
    return replace(base, **fields)


def test_a_version_is_told_by_what_it_is_since_when_and_how_it_beat_the_naive_rule(a):
    read = text(render(a.facts(products=(a.product(scored_by=(a_version(),)),))))

    assert "recall version 1, boosted trees (LightGBM). Champion since 9 Jun 2017. 4 users" in read
    assert "0.760 AUC, against 0.740 of the best naive rule (recency and gap_ratio)" in read
    assert "passed the gate +0.020 (+0.010 to +0.030)" in read
    assert "Trained as of 5 Jun 2017." in read


def test_what_training_has_written_is_escaped(a):
    hostile = "<script>alert(1)</script>"
    made = scored_by.compared({"1_7": figures(is_rule=True, made_by=[hostile])})
    version = a_version(version=hostile, gate=a_gate(why=hostile), compared=made, page='https://x/"><script>')

    assert "<script" not in render(a.facts(products=(a.product(scored_by=(version,)),)))


def test_a_naive_rule_is_told_as_the_one_that_the_model_lost_to(a):
    gate = a_gate(why="the model did not pass: auc 0.7 loses; the naive rule recency scores in its place: better")
    rule = scored_by.compared({"1_7": figures(is_rule=True, made_by=["recency"])})

    read = text(render(a.facts(products=(a.product(scored_by=(a_version(gate=gate, compared=rule),)),))))

    assert "version 1, the naive rule recency , in the place of a model that lost to it." in read
    assert "0.760 AUC passed the gate the model did not pass: auc 0.7 loses" in read
    assert "best naive rule" not in read


def test_the_figure_is_of_the_longest_horizon():
    """As text `1_365` comes before `1_90`, and Postgres keeps no order."""
    found = scored_by.compared({"1_365": figures(primary="auc", rows=1), "1_90": figures(primary="none")})

    assert found is not None and found.figure == "auc"


def test_what_an_older_training_has_recorded_is_told_without_what_it_has_not(a):
    old = {name: value for name, value in figures().items() if name not in {"is_rule", "made_by", "to_beat"}}
    version = a_version(compared=scored_by.compared({"1_7": old}))

    read = text(render(a.facts(products=(a.product(scored_by=(version,)),))))

    assert "recall version 1. Champion since" in read
    assert "against 0.740 of the best naive rule passed the gate" in read
    bare = a_version(gate=a_gate(figures={}), compared=scored_by.compared({}))
    assert "passed the gate auc 0.760 beats it" in text(render(a.facts(products=(a.product(scored_by=(bare,)),))))


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("https://u:secret@mlflow.example/at/", "https://mlflow.example/at/#/models/rekindle_recall/versions/3"),
        ("http://localhost:5000", "http://localhost:5000/#/models/rekindle_recall/versions/3"),
        ("postgresql+psycopg://mlflow:secret@127.0.0.1/mlflow", None),
        ("", None),
    ],
)
def test_links_a_version_where_mlflow_has_an_address_and_tells_no_password(monkeypatch, uri, page):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    assert scored_by._page("rekindle_recall", "3") == page


def test_time_in_office_is_that_of_the_day_which_was_scored():
    """Version 2 came on the 10th and was rolled back; version 3 came after the day."""
    first, second, later = date(2017, 6, 1), date(2017, 6, 10), date(2017, 6, 20)
    promoted = [a_promotion("1", first), a_promotion("2", second)]
    promoted += [a_promotion("1", second, records.ROLLBACK), a_promotion("3", later)]

    assert scored_by._in_office(promoted, "1", DAY) == (first, False)
    assert scored_by._in_office(promoted, "2", DAY) == (second, True)
    assert scored_by._in_office(promoted, "3", DAY) == (None, False)
    assert "a rollback has taken back" in words.in_office(a_version(since=second, is_withdrawn=True))
    assert words.in_office(a_version(since=None, is_backfilled=True)) == (
        "No promotion of it to champion is recorded for this day. It scored the day later, in a backfill."
    )


def test_who_scored_is_read_from_what_was_published(publish):
    records.record_gate(a_gate())
    records.append_promotion("recall", "1", "a" * 64, DAY - timedelta(5), "gate passed", "training")
    run_id = publish(DAY, {"u1": 0.5, "u2": 0.4}, {"u1": Decimal(1)})

    recall, ltv, _ = (product.scored_by for product in gather(DAY, run_id).products)

    (one,) = recall
    assert (one.version, one.users, one.since, one.gate.why) == ("1", 2, DAY - timedelta(5), "auc 0.760 beats it")
    assert (one.compared.value, one.compared.difference) == (0.76, (0.02, 0.01, 0.03))
    assert [(other.gate, other.since) for other in ltv] == [(None, None)]


def test_a_champion_whose_level_was_found_to_be_off_is_a_warning_until_another_is_in_office(publish):
    """Looked at weekly: the last look counts, for a week, and only of who is in office still."""

    def look(day: date, version: str, outcome: str) -> None:
        run_id = records.start_run("training", Days.one(day))
        said = {"product": "recall", "version": version, "told": "the champion's level is off: predicted/actual 1.40"}
        result = CheckResult("level of active_1_7", "warn", outcome, None, said)  # type: ignore[arg-type]
        records.record_checks(run_id, day, f"scores.recall_daily{records.CALIBRATION}", [result])

    run_id = publish(DAY, {"u1": 0.5, "u2": 0.4}, {"u1": Decimal(1)})
    records.append_promotion("recall", "1", "a" * 64, DAY - timedelta(9), "gate passed", "training")
    look(DAY - timedelta(9), "1", "failed")
    assert gather(DAY, run_id).off == ()
    look(DAY - timedelta(2), "1", "failed")
    facts = gather(DAY, run_id)
    assert facts.off == ("recall version 1: the champion's level is off: predicted/actual 1.40",)
    assert ("warned", "models") in [(one.severity, one.section) for one in judge(facts).findings]
    records.append_promotion("recall", "2", "b" * 64, DAY - timedelta(1), "gate passed", "training")
    assert gather(DAY, run_id).off == ()
