from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from rekindle.errors import InputError
from rekindle.landing.filling.lateness import Lateness
from rekindle.landing.filling.writer import History

LAST = date(2024, 6, 30)
ROWS = 40_000


def orders(ids):
    days = np.datetime64("2024-01-01") + (np.array(ids) % 100).astype("timedelta64[D]")
    rows = pa.table({"order_id": pa.array([f"o{n}" for n in ids]), "line_id": pa.array(["0"] * len(ids))})
    return History("orders", rows, days)


def delays(history, late):
    return (late.days - history.days).astype(int)


def test_the_share_that_was_asked_for_is_late_by_the_days_that_were_asked_for():
    """Within five standard errors, and each number of days as often as the others."""
    history = orders(range(ROWS))

    late = delays(history, Lateness(0.05, 3).delay(history, LAST))

    counts = np.bincount(late)
    assert len(counts) == 4
    assert abs((late > 0).mean() - 0.05) < 5 * np.sqrt(0.05 * 0.95 / ROWS)
    assert np.allclose(counts[1:], 0.05 * ROWS / 3, atol=5 * np.sqrt(0.05 * ROWS / 3))


def test_nothing_arrives_before_it_happened_or_after_the_history_ends():
    history = orders(range(ROWS))
    last = history.days.max().item()

    late = Lateness(1.0, 30).delay(history, last)

    assert late.rows.equals(history.rows)
    assert (late.days >= history.days).all()
    assert late.days.max() == np.datetime64(last)
    assert (delays(history, late)[history.days < np.datetime64(last)] > 0).all()


def test_a_row_is_as_late_wherever_it_stands():
    """No seed and no order: a hash of the row's own key decides."""
    history, shuffled = orders(range(ROWS)), orders(np.random.default_rng(1).permutation(ROWS))

    one, other = (
        dict(zip(h.rows["order_id"].to_pylist(), delays(h, Lateness(0.3, 5).delay(h, LAST)), strict=True))
        for h in (history, shuffled)
    )

    assert one == other


def test_half_the_share_are_some_of_the_same_rows():
    """A larger share makes further rows late and none punctual, so two settings can be compared row by row."""
    history = orders(range(ROWS))

    few, many = (delays(history, Lateness(share, 3).delay(history, LAST)) > 0 for share in (0.1, 0.2))

    assert few.any()
    assert (many[few]).all()


def test_states_keep_their_day():
    users = History("users", pa.table({"user_id": ["ann"]}), np.array(["2024-01-01"], dtype="datetime64[D]"))

    assert Lateness(1.0, 3).delay(users, LAST) is users


def test_no_share_is_no_lateness():
    history = orders(range(1000))

    assert (Lateness.parse("0:3").delay(history, LAST).days == history.days).all()


@pytest.mark.parametrize(("text", "lateness"), [("0.05:3", (0.05, 3)), (".5:1", (0.5, 1)), ("1:10", (1.0, 10))])
def test_lateness_is_share_and_days(text, lateness):
    assert Lateness.parse(text) == Lateness(*lateness)


@pytest.mark.parametrize("text", ["", "5", "0.05", "0.05:0", "2:3", "1.5:3", "-0.1:3", "nan:3", "0.1:-1", "0.1:3:4"])
def test_what_is_no_lateness_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"SHARE:DAYS, for example 0\.05:3"):
        Lateness.parse(text)
