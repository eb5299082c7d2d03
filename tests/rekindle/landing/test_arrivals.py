"""By what the rows of a table arrive: a log of snapshots against a table that is kept as a plain list, day by day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rekindle.days import ONE_DAY
from rekindle.landing.arrivals import Closing, Snapshot, SnapshotLog, Span

FIRST = date(2024, 2, 28)
DAYS = [FIRST + timedelta(n) for n in range(5)]
Commit = tuple[int, str, list[int], list[int]]
"""Minutes since FIRST, the operation, rows that come, and rows that go (none of which need be there)."""

commits = st.lists(
    st.tuples(
        st.integers(0, 5 * 24 * 60 - 1),
        st.sampled_from(["append", "replace", "overwrite"]),
        st.lists(st.integers(0, 3), max_size=4),
        st.lists(st.integers(0, 3), max_size=2),
    ),
    max_size=12,
)
hours = st.sampled_from([0, 6, 23])


def written(told: list[Commit]) -> tuple[list[tuple[datetime, int]], dict[int, Snapshot], dict[int, Counter[int]]]:
    """The log, the snapshots, and what the table holds at each of them."""
    shown, snapshots, contents = [], {}, {}
    rows: Counter[int] = Counter()
    for number, (minute, operation, come, go) in enumerate(sorted(told, key=lambda commit: commit[0]), 1):
        before = rows
        if operation == "append":
            rows = rows + Counter(come)
        elif operation == "overwrite":
            rows = rows - Counter(go) + Counter(come)
        shown.append((datetime.combine(FIRST, time(), UTC) + timedelta(minutes=minute), number))
        added = (rows - before).total() if operation == "append" else 99
        snapshots[number] = Snapshot(number - 1 or None, operation, added)
        contents[number] = rows
    return shown, snapshots, contents


@given(commits, hours)
def test_a_days_rows_are_those_at_its_close_that_were_not_there_a_day_before(told, closes_after):
    shown, snapshots, contents = written(told)
    log = SnapshotLog(shown, snapshots, Closing(closes_after))

    for day in DAYS:
        end = datetime.combine(day, time(), UTC) + timedelta(days=1, hours=closes_after)
        until = [contents[number] for at, number in shown if at < end]
        before = [contents[number] for at, number in shown if at < end - ONE_DAY]
        expected = (until or [Counter()])[-1] - (before or [Counter()])[-1]
        base, last = log.of_day(day)
        counted = log.added_rows(base, last)

        assert contents.get(last or 0, Counter()) - contents.get(base or 0, Counter()) == expected
        assert counted in (None, expected.total())
        if all(operation != "overwrite" for _, operation, _, _ in told):
            assert counted == expected.total(), "What only grows is counted without a look into it."
        assert log.span.is_over(day) == any(at >= end for at, _ in shown)


@given(commits.filter(len), st.integers(0, 11), hours)
def test_what_a_day_has_brought_is_told_only_where_the_log_says_what_was_there_before(told, expired, closes_after):
    """Snapshots expire, the oldest first: no day then tells of other rows than it did."""
    shown, snapshots, _ = written(told)
    whole = SnapshotLog(shown, snapshots, Closing(closes_after))
    kept = min(expired, len(shown) - 1)
    left = SnapshotLog(shown[kept:], {n: s for n, s in snapshots.items() if n > kept}, Closing(closes_after))

    assert whole.span.first == Closing(closes_after).day_of(shown[0][0])
    assert left.span.last_arrival == whole.span.last_arrival
    for day in DAYS:
        if left.span.has(day):
            assert left.of_day(day) == whole.of_day(day)
    assert set(left.span.over()) <= set(whole.span.over())


def test_days_that_are_over_end_before_the_one_of_the_last_arrival():
    assert Span(DAYS[0], DAYS[2]).over() == DAYS[:2]
    assert Span(DAYS[0], DAYS[0]).over() == []
    assert Span(None, None).over() == []


def test_a_snapshot_of_a_table_that_was_made_anew_adds_to_none_before_it():
    log = SnapshotLog([], {1: Snapshot(None, "append", 5), 2: Snapshot(None, "append", 7)})

    assert log.appended(1, 2) is None
    assert log.added_rows(None, 2) == 7
