"""What a person may accept, what never, and for which day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle import records
from rekindle.errors import CheckFailedError, InputError
from rekindle.records import Acceptance, CheckResult, RecordedCheck
from rekindle.report import words
from rekindle.warehouse import checks, contracts
from rekindle.warehouse.checks import accepting, days

DAY = date(2017, 12, 25)
AT = datetime(2017, 12, 26, 8, tzinfo=UTC)
TABLE = "scores.recall_daily"
ROWS = "rows change by at most 0.4 of the week's median"


def failed(moved: dict[date, float] | None = None, condition: str = "rows_change_by", rule: str = ROWS) -> CheckResult:
    return CheckResult(rule, "stop", "failed", None, records.soft(condition, {DAY: 0.5} if moved is None else moved))


def accepted(**changes: Any) -> Acceptance:
    return replace(Acceptance(1, TABLE, "rows_change_by", DAY, 0.5, "ada", "a sale", AT), **changes)


def recorded(result: CheckResult, day: date = DAY) -> RecordedCheck:
    return RecordedCheck("run", day, TABLE, *[getattr(result, n) for n in CheckResult.__dataclass_fields__], AT)


HARD = CheckResult("key day, user_id is unique", "stop", "failed", 2)
WARNED = CheckResult("mean of return_probability moves by at most 0.1", "warn", "failed", None, {"limit": 0.1})
PASSED = CheckResult("return_probability is not constant", "stop", "passed")


def test_what_compares_a_day_with_others_is_soft_and_nothing_else():
    """Written out: a condition that becomes soft by mistake would let a broken table be released."""
    found = [rule for table in contracts.tables() for rule in days.rules_of(contracts.load(table))]

    assert {r.condition.split(".")[0] for r in found if r.is_soft} == {"rows_change_by", "mean_moves_by"}
    assert {r.condition.split(".")[0] for r in found if not r.is_soft} >= {
        "constant",
        "null_share",
        "rows_match",
        "sums_differ",
    }


def test_an_accepted_check_stays_failed_says_who_and_stops_nothing():
    (result,) = records.with_accepted([failed()], [accepted()])

    assert (result.outcome, records.is_accepted(result), records.stops(result)) == ("failed", True, False)
    assert "accepted 2017-12-25 by ada, 2017-12-26 08:00 UTC: a sale" in words.figures(recorded(result))
    checks.refuse(TABLE, days_of(DAY), [result])


@pytest.mark.parametrize(
    "other",
    [
        accepted(day=DAY + timedelta(1)),
        accepted(condition="mean_moves_by.return_probability"),
        accepted(moved=0.45),
    ],
)
def test_it_holds_for_that_day_that_check_and_no_larger_move(other: Acceptance):
    (result,) = records.with_accepted([failed()], [other])

    assert records.stops(result)


@given(
    moved=st.dictionaries(st.integers(0, 4), st.floats(0.41, 3), min_size=1),
    seen=st.lists(st.tuples(st.integers(0, 4), st.floats(0.41, 3)), max_size=6),
)
def test_a_check_passes_where_each_of_its_days_was_accepted_as_it_is(moved, seen):
    result = failed({DAY + timedelta(n): value for n, value in moved.items()})
    (told,) = records.with_accepted([result], [accepted(day=DAY + timedelta(n), moved=value) for n, value in seen])
    left = [n for n, value in moved.items() if not any(day == n and value <= most * 1.000001 for day, most in seen)]

    assert records.stops(told) is bool(left)
    assert records.to_accept(told) == [str(DAY + timedelta(n)) for n in left]


def test_no_hard_check_is_ever_accepted():
    results = [HARD, PASSED, WARNED]

    assert records.with_accepted(results, [accepted(condition=r.rule) for r in results]) == results


def days_of(*found: date):
    from rekindle.days import Days

    return Days(found)


def test_an_error_names_the_command_that_accepts():
    with pytest.raises(CheckFailedError) as refused:
        checks.refuse(TABLE, days_of(DAY), [failed(), PASSED])

    assert "rekindle accept scores.recall_daily rows_change_by --day 2017-12-25 --because '…'" in refused.value.todo


def test_beside_what_nobody_may_accept_no_command_is_named():
    with pytest.raises(CheckFailedError) as refused:
        checks.refuse(TABLE, days_of(DAY), [failed(), HARD])

    assert "rekindle accept" not in refused.value.todo


def test_of_many_days_some_are_named():
    history = failed({DAY + timedelta(n): 0.5 for n in range(9)})

    assert checks.how_to_accept(TABLE, [history]).count("rekindle accept") == checks.SHOWN_COMMANDS
    assert "of 4 more" in checks.how_to_accept(TABLE, [history])


def chosen(rule: str, *said: CheckResult, table: str = TABLE) -> RecordedCheck:
    contract = contracts.load(table) if table in contracts.tables() else None
    return accepting.chosen(table, contract, rule, DAY, list(map(recorded, said)))


@pytest.mark.parametrize("rule", ["rows_change_by", ROWS])
def test_a_check_is_named_as_in_the_contract_or_as_on_the_report(rule: str):
    assert chosen(rule, HARD, failed()).rule == ROWS


@pytest.mark.parametrize(
    ("rule", "said", "code"),
    [
        (HARD.rule, [HARD, failed()], "not_acceptable"),
        ("rows_match", [failed()], "not_acceptable"),
        ("constant.raw_score", [], "not_acceptable"),
        (PASSED.rule, [PASSED], "nothing_to_accept"),
        (WARNED.rule, [WARNED], "nothing_to_accept"),
        ("rows_change_by", [CheckResult(ROWS, "stop", "not_judged")], "nothing_to_accept"),
        ("rows_change_by", records.with_accepted([failed()], [accepted()]), "nothing_to_accept"),
        ("rows_change_by", [failed({DAY + timedelta(1): 0.5})], "nothing_to_accept"),
        ("rows_change_by", [HARD], "no_such_check"),
        ("rows_changed", [failed()], "no_such_check"),
    ],
)
def test_what_did_not_stop_the_day_or_must_stop_it_is_refused_by_name(rule: str, said: list[CheckResult], code: str):
    with pytest.raises(InputError) as refused:
        chosen(rule, *said)

    assert (refused.value.code, refused.value.exit_code) == (code, 2)
    assert rule in refused.value.what


def test_a_test_of_a_mart_cannot_be_accepted():
    with pytest.raises(InputError) as refused:
        chosen("no_more_than_labels", CheckResult("no_more_than_labels", "stop", "failed", 3), table="marts.labels")

    assert refused.value.code == "not_acceptable"


def test_a_reason_is_needed():
    with pytest.raises(InputError, match="reason"):
        accepting.accept(TABLE, None, "rows_change_by", DAY, "ada", "  ")
