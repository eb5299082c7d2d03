"""Tags: of which versions the snapshots stay readable."""

from __future__ import annotations

from datetime import UTC, date, datetime

from rekindle.records import ROLLBACK, Gate, Promotion
from rekindle.warehouse import tags

SINCE = date(2026, 6, 1)


def promotion(version: str, month: int, reason: str = "gate passed") -> Promotion:
    at = datetime(2026, month, 1, tzinfo=UTC)
    return Promotion(month, "recall", version, "d" * 64, at.date(), reason, f"run {version}", at)


def in_office(*promotions: Promotion) -> list[str]:
    return [found.version for found in tags.in_office(list(promotions), SINCE)]


def test_a_version_that_left_office_before_the_quarter_is_not_tagged():
    assert in_office(promotion("1", 1), promotion("2", 3), promotion("3", 7)) == ["2", "3"]


def test_a_champion_is_tagged_however_old_it_is():
    assert in_office(promotion("1", 1)) == ["1"]


def test_a_step_back_names_no_version_of_its_own():
    """Its run has trained nothing; the version that it goes back to is in the log by its own promotion."""
    assert in_office(promotion("1", 1), promotion("2", 2), promotion("1", 3, ROLLBACK)) == ["1"]


def gate(version: str, run_id: str | None, recalibrates: str | None = None) -> Gate:
    return Gate("recall", version, "d" * 64, True, "", {}, None, SINCE, run_id=run_id, recalibrates=recalibrates)


def test_who_was_promoted_by_hand_keeps_the_sample_of_its_training():
    """The promotion's own run has read none."""
    gates = {"1": gate("1", "training"), "2": gate("2", None)}

    assert tags.learnt_in([promotion("1", 1), promotion("2", 2)], gates) == {"1": "training", "2": "run 2"}


def test_a_calibration_anew_keeps_the_sample_of_the_version_whose_scores_it_has_too():
    gates = {"1": gate("1", "training"), "3": gate("3", "recalibration", "1")}

    assert tags.learnt_in([promotion("3", 1)], gates) == {"3": "recalibration", "1": "training"}


def test_nobody_promoted_is_nothing_tagged():
    assert in_office() == []
