"""Marts, built by dbt on a real Spark Connect server: arithmetic, ranges, and what readers see when a test fails."""

from __future__ import annotations

import json
import random
import shutil
from datetime import date, timedelta
from decimal import Decimal
from threading import Thread

import pytest
import yaml

from rekindle import records
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.settings import settings
from rekindle.warehouse import builds, dbt, lineage, marts, migrate
from tests.traps import trap

pytestmark = pytest.mark.usefixtures("world")

FIRST, LAST = date(1999, 1, 1), date(1999, 2, 9)
"""Long before the days of any other test: states as of a day would see what another test has delivered before."""

LATENESS = 3
LABELS = [
    {"name": "active_1_7", "from_day": 1, "to_day": 7, "kind": "active", "messages": True},
    {"name": "net_revenue_1_10", "from_day": 1, "to_day": 10, "kind": "net_revenue"},
    {"name": "net_revenue_11_20", "from_day": 11, "to_day": 20, "kind": "net_revenue"},
]
MARTS = lineage.graph().marts("training")
WRITTEN = ("raw.users", "raw.messages", "raw.deliveries", "features.user", "features.user_day")

TILE = {"is_first": True, "orders": 1, "sale_amount": Decimal("0.00"), "refund_amount": Decimal("0.00")}


def day(n):
    return FIRST + timedelta(days=n)


@pytest.fixture(scope="module")
def tiles():
    """Forty days of 12 users: late tiles, refunds on their own day, dates that two deliveries bring activity for."""
    dice = random.Random(7)  # noqa: S311 - a test's dice
    found = {}
    for delivered in range(40):
        for user in range(12):
            for _ in range(dice.choice([0, 0, 1, 1, 2])):
                happened = max(0, delivered - dice.choice([0, 0, 0, 1, 2, 3, 4, 9]))
                if (delivered, user, happened) in found:
                    continue
                found[delivered, user, happened] = TILE | {
                    "day": day(delivered),
                    "user_id": f"u{user}",
                    "activity_on": day(happened),
                    "is_first": (user, happened) not in {(u, h) for _, u, h in found},
                    "sale_amount": Decimal(dice.randrange(10_000)) / 100,
                    "refund_amount": Decimal(dice.choice([0, 0, 0, dice.randrange(12_000)])) / 100,
                }
    return list(found.values())


@pytest.fixture(scope="module")
def sent():
    """Messages of the third week: told of late, or again with what became of them, and those of controls."""
    dice = random.Random(8)  # noqa: S311 - a test's dice
    found = []
    for number in range(40):
        sent_on, arm = dice.randrange(14, 22), dice.choice(["treatment", "treatment", "control"])
        message = {"message_id": f"m{number}", "campaign_id": "c", "user_id": f"u{dice.randrange(12)}", "arm": arm}
        told = {dice.choice([0, 0, 1, 3, 4]), dice.choice([5, 6])}
        found += [message | {"day": day(sent_on + n), "sent_at": f"{day(sent_on)} 12:00:00"} for n in told]
    return found


@pytest.fixture(scope="module")
def world(spark, tiles, sent):
    """Features of each day for the users, of whom one registers on the tenth; marts that exist and are empty."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("REKINDLE_GAIN_HORIZON_DAYS", "10")
    settings.cache_clear()
    migrate.create_marts(spark)
    append(spark, "raw.deliveries", [{"day": day(n), "source": "orders"} for n in range(40)])
    append(spark, "features.user_day", tiles)
    append(spark, "raw.messages", sent)
    append(
        spark,
        "raw.users",
        [
            {"day": FIRST, "user_id": f"u{user}", "registered_at": f"{day(10 if user == 0 else 0)} 10:00:00"}
            for user in range(12)
        ],
    )
    append(
        spark,
        "features.user",
        [
            {
                "day": day(n),
                "user_id": f"u{user}",
                "registered_on": day(0),
                "tenure_days": n,
                "recency_days": (n + user) % 20,
            }
            for n in range(40)
            for user in range(12)
            if user > 0 or n >= 10
        ],
    )
    yield
    monkeypatch.undo()
    settings.cache_clear()
    for table in (*WRITTEN, *MARTS):
        spark.sql(f"DELETE FROM {table} WHERE day BETWEEN DATE'{FIRST}' AND DATE'{LAST}'")


@pytest.fixture(scope="module")
def history(spark, world):  # noqa: ARG001 - is what the history is built from
    """All forty days, built in one pass: the rows of each mart."""
    result = build(spark, 0, 39)
    assert set(result.released) == set(MARTS)
    return {mart: rows(spark, mart) for mart in MARTS}


def append(spark, table, rows):
    """Append rows that name only the columns a test is about; the others are null."""
    schema = spark.table(table).schema
    given = [field.name for field in schema if field.name in rows[0]]
    types = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in schema if field.name in given)
    types = types.replace("_at timestamp", "_at string")
    frame = spark.createDataFrame([tuple(row[name] for name in given) for row in rows], types)
    columns = [
        f"cast({field.name if field.name in given else 'null'} as {field.dataType.simpleString()}) as {field.name}"
        for field in schema
    ]
    frame.selectExpr(*columns).writeTo(table).append()


def build(spark, first, last, group="training"):
    days = Days.between(day(first), day(last))
    return marts.build(spark, group, days, records.start_run("backfill", days), LABELS)


def rows(spark, table, first=0, last=39):
    """A table's rows of some days, in an order, so that two states of it can be compared."""
    found = spark.sql(f"SELECT * FROM {table} WHERE day BETWEEN DATE'{day(first)}' AND DATE'{day(last)}'").collect()
    return sorted(found, key=str)


def branches(spark):
    return {row.name for mart in MARTS for row in spark.sql(f"SELECT name FROM lake.{mart}.refs").collect()}


def expected_labels(tiles, sent, last):
    """Each label by its definition, tile by tile, and message by message where it asks for them."""
    found = set()
    for label in LABELS:
        for user in range(12):
            for n in range(10 if user == 0 else 0, 40):
                known = n + label["to_day"] + LATENESS
                if known > last:
                    continue
                counted = [
                    tile
                    for tile in tiles
                    if tile["user_id"] == f"u{user}"
                    and day(n + label["from_day"]) <= tile["activity_on"] <= day(n + label["to_day"])
                    and tile["day"] <= day(known)
                ]
                if label["kind"] == "active":
                    value = float(any(tile["is_first"] for tile in counted))
                else:
                    value = float(sum(tile["sale_amount"] - tile["refund_amount"] for tile in counted))
                of_messages = expected_messages(tiles, sent, f"u{user}", n) if label.get("messages") else (None,) * 3
                found.add((day(known), day(n), f"u{user}", label["name"], value, *of_messages))
    return found


def expected_messages(tiles, sent, user, n):
    """How many messages a user was sent on the seven days after day n, and when the first message and activity were."""
    window = [day(n + d) for d in range(1, 8)]
    allowance = timedelta(days=LATENESS)
    first_told = {}
    for message in sorted(sent, key=lambda message: message["day"]):
        if message["user_id"] == user and message["arm"] == "treatment":
            first_told.setdefault(message["message_id"], message)
    dates = [(date.fromisoformat(m["sent_at"][:10]), m["day"]) for m in first_told.values()]
    messages = [on for on, told in dates if on in window and told <= on + allowance]
    active = [
        tile["activity_on"]
        for tile in tiles
        if tile["user_id"] == user
        and tile["is_first"]
        and tile["activity_on"] in window
        and tile["day"] <= tile["activity_on"] + allowance
    ]
    first = (min(some, default=None) for some in (messages, active))
    return (len(messages), *((on - day(n)).days if on else None for on in first))


def test_units_of_all_models_pass():
    """The arithmetic of each model, beside the model."""
    invocation = dbt.invoke("unit_tests", "test", "--select", "test_type:unit", target="units")

    dbt.refuse_failed(invocation)
    assert {unit.table for unit in invocation.nodes} >= {
        "marts.ad_results",
        "marts.channel_responses",
        "marts.cohorts",
        "marts.daily_activity",
        "marts.labels",
        "marts.lifecycle_flows",
        "marts.recall_population",
        "marts.return_value_population",
        "marts.return_worth",
        "marts.score_outcomes",
        "marts.users",
        "marts.weekly_stages",
        "staging.stg_events",
        "staging.stg_orders",
        "staging.stg_users",
    }


@trap("a label's window within that of the features")
@trap("labels of buyers alone")
def test_a_range_equals_its_days_one_by_one(spark, history, tiles, sent):
    """A history built in one pass is what the daily runs would have built; labels are what their definition says."""
    for n in (21, 22):
        build(spark, n, n)

    assert all(history.values())
    assert {tuple(row) for row in history["marts.labels"]} == expected_labels(tiles, sent, last=39)
    assert {mart: rows(spark, mart, 0, 29) for mart in MARTS} == {
        mart: [row for row in found if row.day <= day(29)] for mart, found in history.items()
    }
    assert branches(spark) == {"main"}


@pytest.mark.usefixtures("history")
def test_a_mart_says_what_its_days_are_made_of():
    """A day of a mart is stale when one of these partitions changes; without a label nothing is read for labels."""
    inputs = {mart: records.builds(mart, day(25), day(25))[day(25)].inputs for mart in MARTS}

    assert {name: (used.from_day, used.to_day) for name, used in inputs["marts.labels"].items()} == {
        "features.user": (day(25 - 20 - LATENESS), day(25 - 7 - LATENESS)),
        "features.user_day": (day(25 - 10 - LATENESS), day(25)),
        "raw.messages": (day(25 - 10 - LATENESS), day(25)),
    }
    assert lineage.graph().windows("marts.labels", day(25), []) == {}


@pytest.mark.usefixtures("history")
def test_a_failing_test_leaves_what_people_read(spark):
    """A user twice in the features of a day: the build names the test, and main shows the rows of before."""
    before = {mart: rows(spark, mart) for mart in MARTS}
    append(spark, "features.user", [{"day": day(30), "user_id": "u1", "registered_on": day(0), "recency_days": 9}])

    with pytest.raises(
        CheckFailedError, match=r"marts\.ltv_population failed its test \w+_once_a_day: 1 rows"
    ) as caught:
        build(spark, 30, 30)

    assert "dbt.log" in caught.value.todo
    assert {mart: rows(spark, mart) for mart in MARTS} == before
    assert branches(spark) == {"main"}
    failed = {check.rule for check in records.checks(day=day(30)) if check.outcome == "failed"}
    assert {"ltv_population_has_each_user_once_a_day", "recall_population_has_each_user_once_a_day"} <= failed


def test_a_day_without_rows_replaces_a_day_with_rows(spark, history):
    """The features of a day are taken back: what was built from them goes, other days stay."""
    spark.sql(f"DELETE FROM features.user WHERE day = DATE'{day(35)}'")
    build(spark, 35, 35)

    assert {row.day for row in history["marts.ltv_population"]} >= {day(34), day(35)}
    assert {row.day for row in rows(spark, "marts.ltv_population", 34, 36)} == {day(34), day(36)}
    assert {row.day for row in rows(spark, "marts.users", 34, 36)} == {day(34), day(36)}
    assert rows(spark, "marts.daily_activity", 35, 35)


@pytest.mark.usefixtures("world")
def test_the_staging_views_are_made_of_what_the_business_has_decided(spark):
    """No day's build makes them: a migration does, and must know which events are no activity."""
    when = {"day": day(3), "occurred_at": f"{day(3)} 10:00:00"}
    append(spark, "raw.events", [when | {"type": "login"}, when | {"type": "message_delivery"}])
    try:
        rows = spark.sql(f"SELECT event_type, is_activity FROM staging.stg_events WHERE day = DATE'{day(3)}'").collect()
    finally:
        spark.sql(f"DELETE FROM raw.events WHERE day = DATE'{day(3)}'")

    assert {row.event_type: row.is_activity for row in rows} == {"login": True, "message_delivery": False}


def test_marts_declare_what_dbt_sees_them_read():
    """By dbt's own account of the models, not by reading their SQL here."""
    manifest = json.loads((dbt.docs().parent / "manifest.json").read_text())
    found = dbt.reads_by_manifest(manifest, MARTS)

    assert found == {mart: set(lineage.graph().tables[mart].reads) for mart in MARTS}
    assert found["marts.users"] == {"features.user", "raw.users"}


# What came true


@pytest.mark.usefixtures("history")
def test_what_came_true_of_scores_is_told_by_decile_and_kept_for_pages(spark):
    """Scores of three days meet the labels of the mart; the outcome is counted from its rows, one by one."""
    scored = [
        {"day": day(n), "user_id": f"u{user}", "return_probability": user / 16, "horizon_days": 7 if user else 30}
        | {"decile": 1 + user // 6, "is_backfilled": n == 6}
        for n in (5, 6, 29)
        for user in range(12)
    ]
    append(spark, "scores.recall_daily", scored)
    outcome = {"product": "returns", "table": "scores.recall_daily", "label": "active_1_7", "from_day": 1, "to_day": 7}
    outcome |= {"predicted": "case when horizon_days = 7 then return_probability end", "without_messages": False}
    days = Days.between(day(14), day(20))
    try:
        result = marts.build(spark, "outcomes", days, records.start_run("backfill", days), LABELS, [outcome])
        # Again, as a retry does: a day's rows take the place of those it has.
        marts.build(spark, "outcomes", days, records.start_run("backfill", days), LABELS, [outcome])
    finally:
        spark.sql(f"DELETE FROM scores.recall_daily WHERE day BETWEEN DATE'{FIRST}' AND DATE'{LAST}'")

    labels = {(r.feature_day, r.user_id): r.value for r in rows(spark, "marts.labels") if r.label == "active_1_7"}
    expected = {}
    for one in scored:
        actual = labels.get((one["day"], one["user_id"]))
        # u0 has a score about another horizon; day 29 is known with delivery 39.
        if one["horizon_days"] == 7 and one["day"] < day(29):
            of = expected.setdefault((one["day"], one["decile"]), [0, 0.0, 0.0])
            of[0], of[1], of[2] = of[0] + 1, of[1] + one["return_probability"], of[2] + actual
    kept = records.outcomes("returns", day(0), day(39))
    assert set(result.released) == {"marts.score_outcomes"}
    assert {(o.scored_on, o.decile): [o.users, o.predicted, o.actual] for o in kept} == expected
    assert {(o.day, o.scored_on, o.is_backfilled) for o in kept} == {(day(15), day(5), False), (day(16), day(6), True)}
    assert len(rows(spark, "marts.score_outcomes")) == len(kept) == 4
    inputs = records.builds("marts.score_outcomes", day(20), day(20))[day(20)].inputs
    assert (inputs["scores.recall_daily"].from_day, inputs["scores.recall_daily"].to_day) == (day(10), day(10))
    assert "scores.ltv_daily" not in inputs


# Marts of another group, one on the other and one on scores


@pytest.fixture
def made_up(spark, tmp_path, monkeypatch):
    """
    A copy of the dbt project with a group of three marts: `a_second` on `z_first`, `of_scores` on scores and `a_second`.

    Returns a function that writes a model's SQL and yml anew.
    """
    project = tmp_path / "dbt_project"
    shutil.copytree(dbt.DBT_PROJECT, project)
    folder = project / "models" / "marts" / "made_up"
    folder.mkdir()
    monkeypatch.setattr(dbt, "DBT_PROJECT", project)
    monkeypatch.setattr(lineage, "MODELS", project / "models")

    def write(name, source, columns=("day", "user_id"), **reads):
        chosen = ", ".join(columns)
        (folder / f"{name}.sql").write_text(f"select {chosen} from {{{{ {source} }}}} where {{{{ being_built() }}}}")
        types = {"day": "date", "user_id": "string", "note": "string", "'x' as note": "string"}
        described = [{"name": c.split()[-1], "data_type": types[c], "description": f"{c}'s"} for c in columns]
        meta = {"reads": {read.replace("_of_", "."): text for read, text in reads.items()}}
        model = {"name": name, "config": {"meta": meta}, "columns": described}
        (folder / f"{name}.yml").write_text(yaml.safe_dump({"models": [model]}))
        lineage._graph.cache_clear()

    write("z_first", "source('features', 'user')", features_of_user="day")
    write("a_second", "ref('z_first')", marts_of_z_first="day")
    write("of_scores", "source('scores', 'recall_daily')", scores_of_recall_daily="day")
    migrate.create_marts(spark)
    yield write
    for name in ("z_first", "a_second", "of_scores"):
        spark.sql(f"DROP TABLE IF EXISTS marts.{name} PURGE")
    lineage._graph.cache_clear()


def test_a_project_that_turns_out_broken_after_its_models_were_parsed_is_told(tmp_path, monkeypatch):
    """It is parsed twice, the second time in a fork of who parsed it first: one whose threads are waited for never ends."""
    project = tmp_path / "dbt_project"
    shutil.copytree(dbt.DBT_PROJECT, project)
    sources = project / "models" / "staging" / "sources.yml"
    sources.write_text(sources.read_text() + "  - name: scores\n    tables: [{name: recall_daily}]\n")
    monkeypatch.setattr(dbt, "DBT_PROJECT", project)
    found = []
    asked = Thread(target=lambda: found.append(dbt.invoke("broken", "list", target="units")), daemon=True)
    asked.start()
    asked.join(timeout=180)

    assert found and found[0].exit_code != 0
    assert 'two sources with the name "scores_recall_daily"' in found[0].log.read_text()


@pytest.mark.usefixtures("world", "made_up")
def test_a_group_of_marts_on_each_other_and_on_scores_is_built_and_released_alone(spark):
    """`z_first` is built before `a_second`, whatever the alphabet says; the marts of training are not touched."""
    order = lineage.graph().order
    assert [name for name in order if name in lineage.graph().marts("made_up")][-1] != "marts.z_first"
    assert order.index("marts.z_first") < order.index("marts.a_second")
    assert order.index("scores.recall_daily") < order.index("marts.of_scores")
    before = {mart: rows(spark, mart) for mart in MARTS}

    result = build(spark, 20, 21, group="made_up")

    assert set(result.released) == {"marts.z_first", "marts.a_second", "marts.of_scores"}
    users = {(row.day, row.user_id) for row in rows(spark, "features.user", 20, 21)}
    assert {(row.day, row.user_id) for row in rows(spark, "marts.a_second")} == users
    assert {mart: rows(spark, mart) for mart in MARTS} == before

    # The features of a day change: what was built from them is stale, one mart after the other.
    known = builds.Known(lineage.graph(), {})
    days = Days.one(day(20))
    builds.record(known, "features.user", days, {day(20): {"raw.users": (day(20), day(20))}}, run_id="x", snapshot=1)
    stale = builds.state(lineage.graph()).stale
    assert [name for name in stale if stale[name] == [day(20)] and name.endswith(("first", "second"))] == [
        "marts.z_first",
        "marts.a_second",
    ]


@pytest.mark.usefixtures("world")
def test_a_mart_that_reads_what_its_yml_does_not_say_is_never_visible(spark, made_up):
    made_up("a_second", "source('features', 'user')", marts_of_z_first="day")

    with pytest.raises(
        CheckFailedError, match=r"marts\.a_second reads features\.user, but its yml declares marts\.z_first"
    ):
        build(spark, 20, 20, group="made_up")

    assert rows(spark, "marts.a_second") == rows(spark, "marts.z_first") == []


@pytest.mark.usefixtures("world")
def test_a_column_that_a_mart_has_gained_is_added_by_a_migration(spark, made_up):
    build(spark, 20, 20, group="made_up")
    made_up("z_first", "source('features', 'user')", ("day", "'x' as note", "user_id"), features_of_user="day")

    migrate.create_marts(spark)
    build(spark, 21, 21, group="made_up")

    assert {row.day: row.note for row in rows(spark, "marts.z_first")} == {day(20): None, day(21): "x"}
    comments = {row.col_name: row.comment for row in spark.sql("DESCRIBE TABLE marts.z_first").collect()}
    assert comments["note"] == "'x' as note's"


def test_the_documentation_names_each_mart_and_what_its_columns_are():
    page = dbt.docs().read_text()

    assert [mart for mart in MARTS if mart.split(".")[1] not in page] == []
    assert "lapsed_days" in page
