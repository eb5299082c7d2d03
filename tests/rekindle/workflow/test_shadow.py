"""What a shadow does when a step fails, and how it tells what it has found."""

from __future__ import annotations

from datetime import date

import pytest

from rekindle.cli.shadow import text_of
from rekindle.errors import CheckFailedError
from rekindle.publishing.comparing import Change, FigureChange
from rekindle.warehouse import contracts
from rekindle.warehouse.lineage import Step
from rekindle.workflow import shadow
from rekindle.workflow.shadow import FailedCheck, TableChange, Told

DAY = date(2024, 6, 3)

STEPS = (
    Step("ingest", "orders", ("raw.orders",)),
    Step("ingest", "replies", ("raw.replies",)),
    Step("build", "features.user", ("features.user",), ("ingest orders",)),
    Step("build", "permission.opt_outs", ("permission.opt_outs",), ("ingest replies",)),
    Step("marts", "permission", ("marts.permission",), ("build permission.opt_outs",), ("build permission.opt_outs",)),
    Step("score", "recall", ("scores.recall_daily",), ("build features.user",)),
    Step("score", "publish", (), ("score recall", "marts permission")),
)


def done(**fails: Exception) -> tuple[list[str], Told]:
    """Walk the steps, of which some fail by their names."""
    told, did = Told(DAY), []

    def work(step: Step) -> int:
        if error := fails.get(step.name.split(".")[-1]):
            raise error
        did.append(step.name)
        return 1

    for step in STEPS:
        shadow._try(step, told, lambda step=step: work(step), lambda _line: None)
    return did, told


def refused() -> CheckFailedError:
    return CheckFailedError("It broke its contract.", todo="Look at it.", code="check_failed")


def test_what_is_made_of_a_failed_step_is_left_out_to_the_end():
    did, told = done(orders=refused())

    assert did == ["replies", "permission.opt_outs", "permission"]
    assert told.failed == {"ingest orders": "It broke its contract."}
    assert told.not_built == {
        "build features.user": ["ingest orders"],
        "score recall": ["build features.user"],
        "score publish": ["score recall"],
    }
    assert not told.is_fit


def test_scores_do_not_wait_for_permission():
    did, told = done(replies=refused())

    assert did == ["orders", "features.user", "permission", "recall", "publish"]
    assert told.not_built == {"build permission.opt_outs": ["ingest replies"]}


def test_a_product_that_is_not_in_use_yet_holds_nothing_up():
    did, told = done(recall=shadow._Skipped("no model of it has become champion yet"))

    assert did[-1] == "publish"
    assert told.skipped == {"score recall": "no model of it has become champion yet"}
    assert told.is_fit


def test_what_nobody_foresaw_ends_a_shadow():
    with pytest.raises(ZeroDivisionError):
        done(orders=ZeroDivisionError())


def test_only_what_a_person_may_accept_is_passed_over():
    assert shadow.soft_conditions(contracts.load("scores.recall_daily")) == [
        "rows_change_by",
        "mean_moves_by.return_probability",
    ]
    assert shadow.soft_conditions(contracts.load("raw.contacts")) == []


FIGURE = FigureChange("return_probability", 1128, 180, 0.01234, 0.31, 0.97)
SAME = FigureChange("ltv_30", 1128, 0, 0.0, 0.0, None)


def test_what_would_change_is_told_in_counts():
    told = Told(
        DAY,
        tables=[TableChange("features.user", 1200, 1200), TableChange("marts.recall_population", 1135, 1140)],
        published=[
            Change("sms.recall_scores", DAY, 1135, 1140, 12, 7, 200, (FIGURE, SAME)),
            Change("sms.audience", None, 0, 1200, 1200, 0, 0, (), {"eligible": (0, 230), "no_consent": (0, 970)}),
        ],
    )
    text = text_of(told)

    assert "marts.recall_population                  1,135        1,140          +5" in text
    assert "sms.recall_scores, against the rows of 2024-06-03: 1,135 rows now, 1,140 then;" in text
    assert "12 appear, 7 disappear, 200 change" in text
    assert (
        "return_probability: 180 of 1,128 differ, by 0.0123 on average and 0.31 at most; rank correlation 0.970" in text
    )
    assert "ltv_30: the same for all 1,128" in text
    assert "sms.audience, of which there is nothing yet" in text
    assert text.endswith("A run of the day would publish it.")
    assert told.to_json()["published"][0]["figures"][0]["changed"] == 180


@pytest.mark.parametrize(
    ("check", "is_fit", "word"),
    [
        (
            FailedCheck("scores.recall_daily", "rows change", "stop", None, can_be_accepted=True),
            False,
            "can be accepted",
        ),
        (FailedCheck("scores.recall_daily", "mean moves", "warn", None, can_be_accepted=False), True, "warns"),
        (FailedCheck("raw.orders", "key is unique", "stop", 3, can_be_accepted=False), False, "3 rows (stops the day)"),
    ],
)
def test_a_check_that_would_stop_the_day_says_so(check: FailedCheck, is_fit: bool, word: str):
    told = Told(DAY, checks=[check])

    assert told.is_fit is is_fit
    assert word in text_of(told)
