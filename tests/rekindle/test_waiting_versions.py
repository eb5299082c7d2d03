"""Which version waits for a person, by the promotion log and the verdicts."""

from datetime import UTC, date, datetime

import pytest

from rekindle.records import Gate, Promotion, waiting_of

SUNDAY, MONDAY, TUESDAY = (date(2026, 11, day) for day in (15, 16, 17))
AT = datetime(2026, 11, 17, tzinfo=UTC)


def gate(version: str, day: date, *, passed: bool = True) -> Gate:
    return Gate("recall", version, "d", passed, "", {}, None, day)


JUDGED = {
    one.version: one
    for one in (gate("9", SUNDAY), gate("10", MONDAY), gate("11", MONDAY), gate("12", TUESDAY, passed=False))
}


@pytest.mark.parametrize(
    ("promoted", "waits"),
    [
        ([], "11"),
        (["9"], "11"),
        # Of Monday, a calibration and then a training: whoever takes the first has the second before them.
        (["10"], "11"),
        (["11"], None),
        # One that was withdrawn waits for nobody.
        (["9", "11", "rollback"], "10"),
    ],
)
def test_the_latest_that_passed_and_was_never_promoted_waits(promoted, waits):
    log = [Promotion(at, "recall", one, "d", SUNDAY, one, "r", AT) for at, one in enumerate(promoted)]
    found = waiting_of(log, JUDGED)

    assert (found and found.version) == waits
