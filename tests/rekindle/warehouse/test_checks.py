"""Checks find the bad batches that are planted here, say how many rows, and show nobody's data."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.settings import settings
from rekindle.warehouse import checks
from rekindle.warehouse.checks import rows, suites
from rekindle.warehouse.contracts import Column, Contract

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from rekindle.records import CheckResult

DAY = date(2024, 6, 10)
SCHEMA = "day date, user_id string, chance double, size double, arm string, digest string, spend double"
CONTRACT = Contract(
    table="drafts.chances",
    description="Chances that were made up.",
    owner="crm-data",
    key=("day", "user_id"),
    partition=("day",),
    columns=(
        Column("day", "date", "The day."),
        Column("user_id", "id", "The user."),
        Column("chance", "double", "A probability.", between=(0, 1)),
        Column("size", "double", "A number.", nullable=True),
        Column("arm", "string", "One of two.", nullable=True, one_of=("treatment", "control")),
        Column("digest", "string", "Hexadecimal.", nullable=True, matches="^[0-9a-f]{4}$"),
        Column("spend", "double", "Money.", nullable=True),
    ),
    stop_if={
        "rows_change_by": 0.4,
        "constant": ["chance"],
        "mean_moves_by": {"chance": 0.4},
        "null_share": {"size": 0.5},
        "sums_differ": {"spend": {"of": "planted_orders", "sum": "amount", "where": "kind = 'sale'"}},
        "rows_match": "planted_population",
        "rows_where": {"spent_by_control": "arm = 'control' AND spend > 100"},
    },
    warn_if={"mean_moves_by": {"chance": 0.1}},
)


def back(days: int) -> date:
    return DAY - timedelta(days)


def row(user: str | None, day: date | None = DAY, **changes: Any) -> dict[str, Any]:
    chance = 0.25 + 0.5 * (int(hashlib.sha256(str(user).encode()).hexdigest(), 16) % 100) / 100
    values = {"day": day, "user_id": user, "chance": chance, "size": 1.0, "arm": "treatment", "digest": "00ff"}
    return values | {"spend": None} | changes


def batch(day: date = DAY, users: int = 10, **changes: Any) -> list[dict[str, Any]]:
    return [row(f"user-{n}", day, **changes) for n in range(users)]


@pytest.fixture(scope="module")
def frame(spark: SparkSession):
    def made(rows: list[dict[str, Any]]) -> DataFrame:
        names = [name.split(" ")[0] for name in SCHEMA.split(", ")]
        return spark.createDataFrame([tuple(one[name] for name in names) for one in rows], SCHEMA)

    return made


@pytest.fixture(scope="module")
def audit(spark: SparkSession, frame):
    """Judge rows of some days as if they had been written; the sources of sums and keys agree unless they are given."""

    def judged(
        rows: list[dict[str, Any]],
        days: Days,
        stored: tuple[dict[str, Any], ...] = (),
        orders: tuple[tuple[date, str, float], ...] = (),
        population: list[dict[str, Any]] | None = None,
    ) -> dict[str, CheckResult]:
        spark.createDataFrame(list(orders), "day date, kind string, amount double").createOrReplaceTempView(
            "planted_orders"
        )
        frame(rows if population is None else population).createOrReplaceTempView("planted_population")
        results = checks.audit(
            spark, CONTRACT, frame(rows), days, stored=frame(list(stored)), run_id=records.new_run_id()
        )
        found = {f"{result.severity} {result.rule}": result for result in results}
        assert len(found) == len(results)
        return found

    return judged


# Rows


BAD_ROWS = [
    row(None),
    row("twice"),
    row("twice"),
    row("no-number", chance=float("nan")),
    row("too-likely", chance=1.2),
    row("no-chance", chance=None),
    row("endless", size=float("inf")),
    row("other-arm", arm="both"),
    row("bad-digest", digest="00FF"),
    row("rich", arm="control", spend=101.0),
    row("of-tomorrow", back(-1)),
    *[row(f"crowd-{n}", chance=-1.0) for n in range(7)],
]
FOUND = {
    "key day, user_id is unique": 1,
    f"day is in {DAY}": 1,
    "user_id is not null": 1,
    "chance is between 0 and 1": 9,
    "chance is not null": 1,
    "size is a finite number": 1,
    "arm is one of treatment, control": 1,
    "digest matches ^[0-9a-f]{4}$": 1,
    "spent_by_control": 1,
}
"""Rules that the bad rows break, and how many of them do."""


@pytest.fixture(scope="module")
def bad_rows(audit) -> dict[str, CheckResult]:
    return audit(BAD_ROWS + batch(), Days.one(DAY))


@pytest.mark.parametrize("rule", FOUND)
def test_a_bad_row_is_found_and_counted(rule: str, bad_rows: dict[str, CheckResult]):
    result = bad_rows[f"stop {rule}"]

    assert (result.outcome, result.failed_rows) == ("failed", FOUND[rule])


def test_nothing_else_is_found(bad_rows: dict[str, CheckResult]):
    """But that a null is no key of the population, and that nobody had ordered for so much."""
    found = {rule for rule, result in bad_rows.items() if result.outcome == "failed"}

    assert found - {f"stop {rule}" for rule in FOUND} == {
        "stop rows are those of planted_population",
        "stop sum of spend is that of planted_orders",
    }


def test_examples_are_up_to_five_hashes_of_keys(bad_rows: dict[str, CheckResult]):
    of_one = bad_rows["stop arm is one of treatment, control"].detail["examples"]
    of_nine = bad_rows["stop chance is between 0 and 1"].detail["examples"]

    assert of_one == [hashlib.sha256(f"{DAY}|other-arm".encode()).hexdigest()[:12]]
    assert len(set(of_nine)) == rows.EXAMPLES


def test_a_refusal_names_table_rule_and_rows_and_nobody(bad_rows: dict[str, CheckResult]):
    with pytest.raises(CheckFailedError) as refused:
        checks.refuse(CONTRACT.table, Days.one(DAY), list(bad_rows.values()))
    told = str(refused.value)

    assert refused.value.exit_code == 1
    assert f"drafts.chances of {DAY} broke its contract" in told
    assert "chance is between 0 and 1, 9 rows (for example " in told
    assert not [one["user_id"] for one in BAD_ROWS if one["user_id"] and one["user_id"] in told]


def test_good_rows_pass(audit):
    results = audit(batch(size=None) + batch(back(1)), Days.between(back(1), DAY), population=batch() + batch(back(1)))

    assert {rule for rule, result in results.items() if result.outcome == "failed"} == {
        "stop at most 0.5 of size is null"
    }


# Days


WEEK = tuple(one for n in range(8, 15) for one in batch(back(n), users=10))
NEXT_WEEK = Days.between(back(7), DAY)


@pytest.fixture(scope="module")
def week(audit) -> dict[str, CheckResult]:
    """After a week of ten rows a day: a good day, one of six rows, one of five, none, and thrice as many; and so on."""
    rows = [
        *batch(back(7)),
        *batch(back(6), users=6),
        *batch(back(5), users=5),
        # back(4): nothing
        *batch(back(3), users=30),
        *batch(back(2), chance=0.5),
        *batch(back(1), users=9),
        row("user-9", back(1), chance=1.0),
        *[row(f"user-{n}", size=None if n < 6 else 1.0, spend=float(n)) for n in range(10)],
    ]
    population = [one for one in rows if one["day"] != back(7)] + batch(back(7), users=9) + [row("other", back(7))]
    orders = ((DAY, "sale", 44.0), (DAY, "refund", 7.0))
    return audit(rows, NEXT_WEEK, stored=WEEK, orders=orders, population=population)


def days_in(result: CheckResult) -> list[date]:
    return [date.fromisoformat(figure.split(":")[0]) for figure in result.detail["days"]]


def test_a_day_with_too_few_or_too_many_rows_is_named(week: dict[str, CheckResult]):
    """Six rows of ten are a change by .4, which is allowed."""
    result = week["stop rows change by at most 0.4 of the week's median"]

    assert (result.outcome, days_in(result)) == ("failed", [back(5), back(4), back(3)])
    assert (result.detail["rows"], result.detail["median"]) == ([5, 0, 30], ["10", "10", "10"])


def test_by_how_much_each_day_has_moved_is_kept_for_who_accepts_it(week: dict[str, CheckResult]):
    detail = week["stop rows change by at most 0.4 of the week's median"].detail

    assert (detail["soft"], detail["moved"]) == (
        "rows_change_by",
        {str(back(5)): 0.5, str(back(4)): 1.0, str(back(3)): 2.0},
    )
    assert not [rule for rule, result in week.items() if records.is_soft(result) and "rows change" not in rule]


def test_a_constant_is_named(week: dict[str, CheckResult]):
    assert days_in(week["stop chance is not constant"]) == [back(2)]


def test_a_share_of_nulls_is_named(week: dict[str, CheckResult]):
    assert days_in(week["stop at most 0.5 of size is null"]) == [DAY]


def test_a_sum_that_is_not_that_of_its_source_is_named(week: dict[str, CheckResult]):
    """The refund is none of it."""
    result = week["stop sum of spend is that of planted_orders"]

    assert (result.outcome, result.detail["days"]) == ("failed", [f"{DAY}: 1"])


def test_rows_that_are_not_those_of_the_population_are_named(week: dict[str, CheckResult]):
    """Ten rows of either are not the same ten."""
    result = week["stop rows are those of planted_population"]

    assert (result.outcome, result.detail["days"]) == ("failed", [f"{back(7)}: 2"])


def test_a_mean_may_stop_at_one_limit_and_warn_at_another(audit):
    stored = tuple(one for n in range(1, 8) for one in batch(back(n), chance=0.5))
    rows = [row(f"user-{n}", chance=0.55 + n / 50) for n in range(10)]
    results = audit(rows, Days.one(DAY), stored=stored)

    assert results["stop mean of chance moves by at most 0.4"].outcome == "passed"
    assert results["warn mean of chance moves by at most 0.1"].outcome == "failed"
    checks.refuse(CONTRACT.table, Days.one(DAY), list(results.values()))


def test_a_move_is_not_judged_with_fewer_than_three_earlier_days(audit):
    two_days = tuple(batch(back(1)) + batch(back(7)) + batch(back(8)) + batch(back(9)))
    results = audit(batch(users=2), Days.one(DAY), stored=two_days)

    assert results["stop rows change by at most 0.4 of the week's median"].outcome == "not_judged"
    assert results["stop mean of chance moves by at most 0.4"].outcome == "not_judged"


def test_a_profile_that_fails_fails_the_audit(audit, monkeypatch: pytest.MonkeyPatch):
    """It is made in a thread of its own, where an error could get lost."""

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checks.days, "profile", broken)
    with pytest.raises(ZeroDivisionError):
        audit(batch(), Days.one(DAY))


# The suites themselves


@pytest.fixture
def data_docs_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.usefixtures("data_docs_home")
def test_a_suite_without_expectation_is_a_failure(frame):
    with pytest.raises(CheckFailedError, match="empty_suite"):
        suites.validate("nothing", [], frame(batch()), records.new_run_id())


@pytest.mark.usefixtures("data_docs_home")
def test_an_expectation_that_raises_is_a_failure_whatever_its_severity(frame):
    import great_expectations.expectations as gxe

    rules = [
        suites.Expected("lost is not null", "warn", gxe.ExpectColumnValuesToNotBeNull(column="lost")),
        suites.Expected("arm is not null", "warn", gxe.ExpectColumnValuesToNotBeNull(column="arm")),
    ]
    lost, arm = suites.validate("raises", rules, frame(batch()), records.new_run_id())

    assert (lost.severity, lost.outcome, arm.outcome) == ("stop", "failed", "passed")
    assert "lost" in lost.detail["error"]
    with pytest.raises(CheckFailedError, match="lost is not null"):
        checks.refuse("drafts.chances", Days.one(DAY), [lost, arm])


def test_data_docs_are_kept_per_run_and_show_no_value(spark: SparkSession, frame, data_docs_home: Path):
    """All that is kept of a validation, pages and stored results alike."""
    frame([]).createOrReplaceTempView("planted_population")
    spark.createDataFrame([], "day date, kind string, amount double").createOrReplaceTempView("planted_orders")
    run_id = records.new_run_id()
    checks.audit(spark, CONTRACT, frame(BAD_ROWS), Days.one(DAY), stored=frame([]), run_id=run_id)
    page = checks.build_data_docs(run_id)
    kept = [path for path in (data_docs_home / "data_docs" / run_id).rglob("*") if path.is_file()]
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in kept)

    assert str(checks.data_docs_folder(run_id)) in str(page)
    assert "chance" in text
    assert "drafts.chances rows" in text
    assert not [one["user_id"] for one in BAD_ROWS if one["user_id"] and f"{one['user_id']}" in text]
