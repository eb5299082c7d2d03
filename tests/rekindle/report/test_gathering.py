"""What the report says, read from a real Postgres and counted once more by other code."""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import date, timedelta
from decimal import Decimal
from statistics import mean, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle import records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.report.gathering import AMOUNT_BINS, SAMPLE_NOTES, amount_edges, gather, share_edges
from rekindle.settings import settings

DAY = date(2017, 6, 14)
DAYS_BEFORE = [DAY - timedelta(days=n) for n in (20, 5, 2)]


def scores_of(seed: int, users: int) -> tuple[dict[str, float], dict[str, Decimal]]:
    """Probabilities as they are published, and values of which some are refunds and some are nothing."""
    chance = random.Random(seed)  # noqa: S311 - made-up scores
    names = [f"u{n}" for n in range(users)]
    recall = {name: round(chance.betavariate(2, 5), 3) for name in names}
    ltv = {name: Decimal(f"{chance.lognormvariate(3, 1.5):.2f}") for name in names}
    ltv |= {"u0": Decimal("-4.00"), "u1": Decimal("0.00"), "u2": Decimal("0.00")}
    return recall, ltv


@pytest.fixture
def published(publish):
    """Scores of a day and of some before it; not of the day before, and one beyond what the report looks at."""
    for n, day in enumerate(DAYS_BEFORE):
        publish(day, *scores_of(n, 40 + n))
    recall, ltv = scores_of(99, 60)
    return publish(DAY, recall, ltv), recall, ltv


def test_populations_are_the_published_rows_of_two_weeks(published):
    run_id, *_ = published

    recall, ltv, value = gather(DAY, run_id).products

    assert (recall.name, ltv.name, value.name) == ("recall", "ltv", "return_value")
    assert recall.populations == {DAYS_BEFORE[1]: 41, DAYS_BEFORE[2]: 42, DAY: 60}
    assert recall.publish.run_id == run_id
    assert recall.about.startswith("The chance that a lapsed user")


def test_distributions_equal_a_recount_of_what_was_published(published):
    run_id, probabilities, values = published

    recall, ltv, _ = gather(DAY, run_id).products
    (probability,) = recall.scores
    _, value, year = ltv.scores

    for score, rows in ((probability, list(probabilities.values())), (value, [float(v) for v in values.values()])):
        bins = [0] * len(score.edges)
        for row in rows:
            bins[min(bisect_right(score.edges, row), len(bins) - 1)] += 1
        assert list(score.day.counts) == bins
        assert sum(bins) == score.day.row_count == 60
        assert score.day.mean == pytest.approx(mean(rows))
        assert score.day.deciles == pytest.approx(quantiles(rows, n=10, method="inclusive"))
        assert score.before.day == DAYS_BEFORE[2]
        assert sum(score.before.counts) == 42
    assert value.day.counts[0] == 1  # the refund
    assert (probability.kind, value.kind) == ("share", "amount")
    assert (year.column, year.day, year.before) == ("ltv_365", None, None)


def test_the_first_published_day_has_none_before_it(publish):
    run_id = publish(DAY, *scores_of(1, 5))

    recall, *_ = gather(DAY, run_id).products

    assert recall.scores[0].before is None


def test_the_list_holds_the_highest_scores_with_reasons_and_value(published):
    run_id, probabilities, values = published

    top = gather(DAY, run_id).top

    # Of half of the 90 days' value, which the fixture publishes as that of 30.
    stake = {u: (1 - Decimal(str(p))) * (values[u] / 2).quantize(Decimal("0.01")) for u, p in probabilities.items()}
    best = sorted(probabilities, key=lambda user: (-stake[user], user))[:10]
    assert [user.at_stake for user in top.users] == [stake[user] for user in best]
    assert "value at stake" in top.says
    assert [user.user_id for user in top.users] == best
    assert (top.product, top.column) == ("recall", "return_probability")
    first = top.users[0]
    assert first.score == Decimal(str(probabilities[first.user_id]))
    assert first.reasons == (("last active 9 days ago", "-0.35"),)
    assert set(first.others) == {"ltv_30", "ltv_90", "value_if_returns"}
    assert first.others["ltv_90"] == values[first.user_id]


def test_an_older_day_is_about_its_own_rows(published):
    run_id, *_ = published
    older = records.start_run("daily", Days.one(DAYS_BEFORE[2]))

    facts = gather(DAYS_BEFORE[2], older)

    assert len(facts.top.users) == 10
    assert max(facts.products[0].populations) == DAYS_BEFORE[2]
    assert facts.products[0].publish.run_id not in {run_id, older}


def test_reads_stages_checks_and_freshness_of_the_run(published, database):
    run_id, *_ = published
    with records.stage(run_id, DAY, "ingest orders") as notes:
        notes.detail = {"delivered": 3}
    result = records.CheckResult("amount is not null", "stop", "passed")
    records.record_checks(run_id, DAY, "raw.orders", [result])

    facts = gather(DAY, run_id)

    assert [(stage.stage, stage.detail) for stage in facts.stages] == [("ingest orders", {"delivered": 3})]
    assert "raw.orders" in {check.table_name for check in facts.checks}
    assert [(f.table_name, f.day) for f in facts.freshness] == [
        (name, DAY) for name in ("audience", "ltv_scores", "recall_scores", "return_values")
    ]
    assert facts.eligible_count == database.value("select count(*) from sms.audience where eligible") == 0
    assert facts.sources["users"] == "state"
    assert facts.sources["orders"] == "fact"


@pytest.mark.usefixtures("database")
def test_a_run_that_published_nothing_has_facts_too():
    run_id = records.start_run("daily", Days.one(DAY))

    facts = gather(DAY, run_id)

    assert (facts.products, facts.top, facts.freshness, facts.stages) == ((), None, (), ())


@pytest.mark.usefixtures("database")
def test_a_run_says_of_what_it_left_what_the_rules_said_when_that_was_built():
    """A warning does not go away because the day was run again; what an earlier build was told does."""
    said = [records.CheckResult(f"rule {n}", "warn", "failed") for n in range(3)]
    earlier, built, again = (records.start_run("daily", Days.one(DAY)) for _ in range(3))
    records.record_checks(earlier, DAY, "features.user", said[:1])
    records.record_checks(built, DAY, "features.user", said[1:2])
    records.record_checks(again, DAY, "raw.orders", said[2:])
    records.record_builds(records.Build(table, DAY, "build", built, 1) for table in ("features.user", "raw.orders"))
    assert [check.rule for check in gather(DAY, again).checks] == ["rule 2"]
    with records.stage(again, DAY, "features.user") as notes:
        notes.detail = {"kept": True}

    assert {check.rule for check in gather(DAY, again).checks} == {"rule 1", "rule 2"}

    history = records.start_run("history", Days.between(DAYS_BEFORE[0], DAY))
    records.record_checks(history, DAY, "features.user_day", said[:1])
    records.record_builds([records.Build("features.user_day", DAY, "build", history, 1)])
    assert {check.rule for check in gather(DAY, again).checks} == {"rule 1", "rule 2"}, "about days of January, perhaps"


@pytest.mark.usefixtures("database")
def test_a_day_that_is_not_of_the_run_is_refused():
    run_id = records.start_run("daily", Days.one(DAY))

    with pytest.raises(InputError, match="no record of a run"):
        gather(DAY + timedelta(days=1), run_id)


@pytest.mark.usefixtures("database")
def test_tells_what_the_landing_zone_says_of_its_sample(tmp_path, monkeypatch):
    (tmp_path / SAMPLE_NOTES).write_text("The sample data are simulated by their authors.\n")
    run_id = records.start_run("daily", Days.one(DAY))
    assert gather(DAY, run_id).sample_notes == ()

    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path))
    settings.cache_clear()

    assert gather(DAY, run_id).sample_notes == ("The sample data are simulated by their authors.",)


# Edges


@given(highest=st.floats(0, 1))
def test_shares_have_bins_that_hold_the_highest(highest):
    edges = share_edges(0.0, highest)

    assert edges[0] == 0
    assert highest <= edges[-1] <= 1
    assert len(edges) == 21
    assert list(edges) == sorted(set(edges))


def test_shares_that_are_small_fill_the_axis():
    assert share_edges(0.0, 0.04)[-1] == 0.05


def test_shares_below_zero_have_bins_too():
    assert (share_edges(-0.02, 0.04)[0], share_edges(-0.3, 0.04)[-1]) == (-0.05, 0.3)


@given(amounts=st.lists(st.decimals("0.01", "1e9", places=2), min_size=1))
def test_amounts_have_few_bins_that_hold_the_highest(amounts):
    least, highest = float(min(amounts)), float(max(amounts))

    edges = amount_edges(least, highest)

    assert edges[0] == 0
    assert edges[-2] <= highest <= edges[-1]
    assert list(edges) == sorted(set(edges))
    assert len(edges) <= AMOUNT_BINS + 2


def test_amounts_that_are_all_nothing_have_one_bin():
    assert amount_edges(0.0, 0.0) == amount_edges(0.0, -3.0) == (0.0, 1.0)
