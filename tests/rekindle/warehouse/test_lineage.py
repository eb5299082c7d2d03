"""The graph of tables: what is declared, and the orders, windows and steps that follow from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ml.products import makers
from rekindle.errors import CheckFailedError, InputError
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage
from rekindle.warehouse.lineage import Graph, Reach, Table

DAY = date(2017, 6, 14)
LABELS = [{"name": "a", "from_day": 1, "to_day": 7}, {"name": "b", "from_day": 31, "to_day": 90}]
SCORED = {
    "scores.recall_daily": "recall",
    "scores.ltv_daily": "ltv",
    "scores.return_value_daily": "return_value",
    "scores.vip_30_daily": "vip_30",
}


def back(days: int) -> date:
    return DAY - timedelta(days)


def table(name: str, kind: lineage.Kind, group: str | None = None, **reads: str) -> Table:
    return Table(name, kind, {read.replace("_of_", "."): Reach(text) for read, text in reads.items()}, group=group)


SHOP = [
    table("raw.orders", "ingest"),
    table("features.tiles", "build", raw_of_orders="day"),
    # Named so that the alphabet is the wrong order.
    table("marts.a_second", "marts", "training", marts_of_z_first="7 days"),
    table("marts.z_first", "marts", "training", features_of_tiles="day"),
    table("scores.chances", "score", marts_of_a_second="day"),
    table("marts.audience", "marts", "permission", scores_of_chances="day", raw_of_orders="always"),
]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("day", DAY, DAY),
        ("always", date.min, DAY),
        ("0 days", DAY, DAY),
        ("28 days", back(28), DAY),
        ("10 days before", back(10), back(10)),
        ("dedup_days + 1 days", back(settings().dedup_days + 1), DAY),
        ("max(365, dedup_days) days", back(max(365, settings().dedup_days)), DAY),
        # Of both labels: the first is about fewer days than the second.
        ("to_day days before", back(90), back(7)),
        ("to_day - from_day + 1 days", back(60), DAY),
    ],
)
def test_a_reach_says_how_far_back(text: str, first: date, last: date):
    assert Reach(text).window(DAY, LABELS) == (first, last)


def test_a_reach_over_labels_is_nothing_where_there_is_no_label():
    assert Reach("to_day days").window(DAY) is None


@pytest.mark.parametrize("text", ["a week", "7", "unknown_setting days", "currency days", "2 * 7 days", "f(7) days"])
def test_what_is_no_reach_is_refused(text: str):
    with pytest.raises(InputError, match=r"reach back|how far back"):
        Reach(text).window(DAY)


def test_each_table_comes_after_those_that_it_reads():
    order = Graph.of(reversed(SHOP)).order

    assert order == (
        "raw.orders", "features.tiles", "marts.z_first", "marts.a_second", "scores.chances", "marts.audience"
    )  # fmt: skip


def test_tables_that_read_each_other_are_refused_by_name():
    circle = [table("marts.a", "marts", "g", marts_of_b="day"), table("marts.b", "marts", "g", marts_of_a="day")]

    with pytest.raises(InputError, match=r"circle: marts\.\w reads marts\.\w reads marts\.\w"):
        Graph.of(circle)


def test_a_table_that_reads_what_nobody_writes_is_refused_by_name():
    with pytest.raises(InputError, match=r"marts\.a reads features\.gone"):
        Graph.of([table("marts.a", "marts", "g", features_of_gone="day")])


def test_a_run_makes_each_group_of_marts_once_and_after_the_scores_that_it_reads():
    steps = Graph.of(SHOP).steps({"scores.chances": "recall"})

    assert [(step.id, step.tables, step.after) for step in steps] == [
        ("ingest orders", ("raw.orders",), ()),
        ("build features.tiles", ("features.tiles",), ("ingest orders",)),
        ("marts training", ("marts.z_first", "marts.a_second"), ("build features.tiles",)),
        ("score recall", ("scores.chances",), ("marts training",)),
        # It reads orders as well; that way is the longer one.
        ("marts permission", ("marts.audience",), ("score recall",)),
    ]


def test_who_cannot_do_without_an_input_waits_for_it_also_behind_one_who_can():
    """Labels go on without messages; permission must not, though it comes after labels."""
    tables = [
        table("raw.orders", "ingest"),
        table("raw.messages", "ingest"),
        replace(
            table("marts.labels", "marts", "training", raw_of_orders="day", raw_of_messages="day"),
            tolerates=frozenset({"raw.messages"}),
        ),
        table(
            "marts.audience", "marts", "permission", marts_of_labels="day", raw_of_messages="day", raw_of_orders="day"
        ),
    ]
    waits = {step.id: (step.after, step.tolerates) for step in Graph.of(tables).steps({})}

    assert waits["marts training"] == (("ingest messages", "ingest orders"), ("ingest messages",))
    # Whether orders were loaded the labels say, which are not made without.
    assert waits["marts permission"] == (("ingest messages", "marts training"), ())


def test_without_its_product_a_score_and_what_reads_it_are_not_made():
    assert [step.id for step in Graph.of(SHOP).steps({})] == [
        "ingest orders", "build features.tiles", "marts training"
    ]  # fmt: skip


def test_two_groups_that_wait_for_each_other_are_refused():
    """No table reads itself, but neither group could be built first."""
    tables = [
        table("marts.a1", "marts", "a"),
        table("marts.b1", "marts", "b", marts_of_a1="day"),
        table("marts.a2", "marts", "a", marts_of_b1="day"),
    ]

    with pytest.raises(InputError, match="circle"):
        Graph.of(tables).steps({})


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"features.user": (DAY, DAY)}, "declares nothing of it"),
        ({"raw.orders": (back(400), DAY)}, f"but {back(365)} to {DAY}"),
        ({"raw.orders": (DAY, DAY + timedelta(1))}, f"but {back(365)} to {DAY}"),
        ({"features.user_day": (back(366), back(1))}, f"but {back(365)} to {DAY}"),
    ],
)
def test_a_job_may_not_record_more_than_its_table_declares(inputs, told: str):
    with pytest.raises(CheckFailedError, match=f"undeclared_input.*{told}"):
        lineage.graph().refuse_undeclared("features.user_day", DAY, inputs)


def test_a_job_may_record_less_than_its_table_declares():
    lineage.graph().refuse_undeclared("features.user_day", DAY, {"raw.orders": (back(2), DAY)})
    lineage.graph().refuse_undeclared("features.user_day", DAY, {"features.user_day": (back(30), back(1))})
    lineage.graph().refuse_undeclared("features.user_day", DAY, {})


def test_the_declared_windows_are_what_the_jobs_and_models_are_defined_by():
    """Written down by hand from the definitions of features and labels."""
    graph, lateness = lineage.graph(), settings().lateness_days

    # What a user did at any time; different items within 28 days, and the delivery before that, which may hold first minutes.
    assert graph.windows("features.user", DAY) == {
        "features.user_day": (date.min, DAY),
        "features.user_item_day": (back(28), DAY),
        "raw.users": (date.min, DAY),
    }
    # Label a of feature day D is complete with delivery D + 7 + 3, label b with D + 90 + 3.
    assert graph.windows("marts.labels", DAY, LABELS) == {
        "features.user": (back(90 + lateness), back(7 + lateness)),
        "features.user_day": (back(90 + lateness - 31 + 1), DAY),
        "raw.messages": (back(90 + lateness - 31 + 1), DAY),
    }
    assert graph.windows("marts.labels", DAY, []) == {}
    assert graph.windows("scores.recall_daily", DAY) == {
        "features.user": (DAY, DAY), "marts.recall_population": (DAY, DAY)
    }  # fmt: skip


def test_what_ingestion_writes_beside_the_sources_is_as_new_as_what_has_landed():
    graph = lineage.graph()
    by_products = {name for name, one in graph.tables.items() if one.is_by_product}

    assert by_products == {"raw.deliveries", "raw.quarantine"}
    for_permission = {f"raw.{source}" for source in contracts.permission_sources()}
    assert for_permission == {"raw.contacts", "raw.consents", "raw.messages", "raw.replies"}
    assert set(graph.tables["raw.deliveries"].reads) == set(graph.written_by("ingest")) - for_permission


def test_every_table_is_made_by_some_step():
    graph = lineage.graph()
    made = {name for step in graph.steps(makers()) for name in step.tables}

    assert made == {name for name, one in graph.tables.items() if not one.is_by_product}


def test_a_mart_on_a_whole_schema_reads_of_each_table_only_what_its_product_foretells():
    """Recall's label is complete 10 days after its day, LTV's increments after 33 and 93; other labels do not count."""
    outcomes = [
        {"table": "scores.recall_daily", "from_day": 1, "to_day": 7},
        {"table": "scores.ltv_daily", "from_day": 1, "to_day": 30},
        {"table": "scores.ltv_daily", "from_day": 31, "to_day": 90},
    ]
    graph, lateness = lineage.graph(), settings().lateness_days

    assert graph.tables["marts.score_outcomes"].any_of >= {"scores.recall_daily", "scores.ltv_daily"}
    assert graph.windows("marts.score_outcomes", DAY, LABELS, outcomes) == {
        "marts.labels": (DAY, DAY),
        "scores.recall_daily": (back(7 + lateness), back(7 + lateness)),
        "scores.ltv_daily": (back(90 + lateness), back(30 + lateness)),
    }
    # Who was sent a message meanwhile the labels say.
    assert set(graph.windows("marts.score_outcomes", DAY, LABELS)) == {"marts.labels"}


def test_what_came_true_is_made_after_all_scores():
    (step,) = [step for step in lineage.graph().steps(SCORED) if step.name == "outcomes"]

    assert set(step.after) == {f"score {product}" for product in SCORED.values()}
    assert step.tolerates == ()
    assert "marts outcomes" not in {step.id for step in lineage.graph().steps({})}
