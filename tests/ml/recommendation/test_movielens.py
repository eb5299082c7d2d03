"""MovieLens 100k on three cuts and on blocks of days: the figures of docs/recommendations.md, and what none may fall below."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml.recommendation.evaluation import evaluate
from ml.recommendation.recommender import MIN_USERS, learn
from ml.recommendation.retrievers import NOTHING
from ml.recommendation.splits import AtRandom, ByTime, LastOfEach, blocks
from tests.ml.recommendation.movielens import FOLDER, movielens

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.recommendation import Known
    from ml.recommendation.evaluation import Evaluated

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "ml-100k.inter").exists(), reason="ml-100k is not in REKINDLE_DATA"),
]

SHARE = 0.8
"""Of the interactions that lie before the day of the cut by time."""

BLOCK_DAYS, BLOCKS = 30.0, 3
POPULARITY = 0.211
"""nDCG@10 of the last 30 days' popularity that is asked for, of users known before the cut by time."""


@pytest.fixture(scope="module")
def known() -> Known:
    return movielens()


def by_time(known: Known) -> ByTime:
    day = float(np.floor(np.quantile(known.interactions.day, SHARE)))
    return ByTime(day, float(np.floor(known.interactions.last_day)) + 1 - day)


def told(found: Evaluated, by: str, audience: str = "known") -> str:
    row = found.row(by, audience)
    figures = " | ".join(f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in row.figures.values())
    return f"{found.split} | {audience} | {row.users} | {by} | {figures}"


def record(found: Evaluated, say: Callable[[str, object], None]) -> None:
    for row in found.rows:
        say("figure", told(found, row.by, row.audience))
    for name, one in found.differences.items():
        say(
            "figure",
            f"{found.split} | {name} ({found.best_single}) | {one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})",
        )
    chosen = found.recommender.chosen
    say("figure", f"{found.split} | {chosen.validation_users} validation users | {chosen.verdict.says}")
    say("figure", f"{found.split} | {chosen.merging}")
    say("figure", f"{found.split} | { ({name: dict(hyper) for name, hyper in chosen.hyper.items()}) }")
    say("figure", f"{found.split} | {found.answers} answers, {found.forbidden} forbidden")


def at_ten(found: Evaluated, by: str) -> float:
    return found.row(by).figures["ndcg_10"].value


def test_random_quarter_of_each_user(known, record_property):
    (found,) = evaluate(known, [AtRandom()])
    record(found, record_property)

    assert at_ten(found, "answer") >= 0.48
    assert at_ten(found, "merged") >= at_ten(found, found.best_single)
    assert found.forbidden == 0


def test_last_quarter_of_each_user(known, record_property):
    (found,) = evaluate(known, [LastOfEach()])
    record(found, record_property)

    assert at_ten(found, "answer") >= 0.23
    assert at_ten(found, "merged") >= at_ten(found, found.best_single)
    assert found.forbidden == 0


def test_days_after_a_cut_by_time(known, record_property):
    (found,) = evaluate(known, [by_time(known)])
    record(found, record_property)

    assert at_ten(found, "popularity") == pytest.approx(POPULARITY, abs=0.005)
    assert at_ten(found, "answer") >= max(POPULARITY, at_ten(found, "popularity"))
    assert at_ten(found, "merged") >= at_ten(found, found.best_single)
    assert found.forbidden == 0


def test_blocks_of_days(known, record_property):
    """Who is known changes from block to block, so that what was chosen may lose: docs/recommendations.md says by how much."""
    found = evaluate(known, blocks(known.interactions, BLOCK_DAYS, BLOCKS))
    for block in found:
        record(block, record_property)

    assert [block.forbidden for block in found] == [0] * BLOCKS
    assert min(block.row("answer").users for block in found) >= MIN_USERS
    assert at_ten(found[-1], "answer") >= at_ten(found[-1], "popularity")


def lot(name: str, sides: int) -> int:
    return int(sha256(name.encode()).hexdigest(), 16) % sides


def test_of_a_million_answers_none_is_seen_blocked_out_of_stock_or_of_another_country(known, record_property):
    """What is forbidden is planted by lot, and looked up by ids: not by what answers."""
    items, users, rows = known.items.ids, known.users.ids, known.interactions
    blocked = {item for item in items if lot("b" + item, 20) == 0}
    gone = {item for item in items if lot("s" + item, 10) == 0}
    sold = {item: ("here", "there")[lot("c" + item, 2)] for item in items if lot("w" + item, 5) == 0}
    home = {user: ("here", "there", "")[lot("u" + user, 3)] for user in users}
    known = replace(
        known,
        items=replace(
            known.items,
            blocked=np.array([item in blocked for item in items]),
            in_stock=np.array([item not in gone for item in items]),
            countries=tuple(frozenset({sold[item]}) if item in sold else None for item in items),
        ),
        users=replace(
            known.users, attributes={**known.users.attributes, "country": np.array([home[user] for user in users])}
        ),
    )
    had = set(zip(rows.users[rows.user].tolist(), rows.items[rows.item].tolist(), strict=True))
    learnt = learn(known, LastOfEach().inside())
    answers = wrong = 0
    for found in learnt.stages(np.arange(len(users)), 200).values():
        row, place = np.nonzero(found.items != NOTHING)
        for user, item in zip(users[row].tolist(), items[found.items[row, place]].tolist(), strict=True):
            answers += 1
            wrong += (user, item) in had or item in blocked or item in gone or sold.get(item, home[user]) != home[user]
    record_property("figure", f"{answers} answers, {wrong} forbidden")

    assert all(state.is_on for state in learnt.filtering.states)
    assert answers > 1_000_000
    assert wrong == 0
