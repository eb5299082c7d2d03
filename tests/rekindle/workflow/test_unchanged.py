"""A day is left as it is only where nothing of it would be another, from records in a real Postgres and files."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ml import registry
from ml.products import product_named
from rekindle import records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.zone import LandingZone
from rekindle.records import Build
from rekindle.settings import settings
from rekindle.warehouse import builds, contracts, lineage, made_by
from rekindle.workflow import unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

DAY = date(2023, 5, 1)
RECALL, LTV = map(product_named, ("recall", "ltv"))
ROWS = {"users": "user_id,registered_at\nu1,2023-04-01T00:00:00Z\n", "events": "event_id,user_id,occurred_at,type\n"}


@pytest.fixture
def zone(database, tmp_path, monkeypatch) -> Iterator[Path]:  # noqa: ARG001 - what is built is recorded there
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path))
    settings.cache_clear()
    for source in ROWS:
        deliver(tmp_path, source)
    yield tmp_path
    settings.cache_clear()


def deliver(zone: Path, source: str, more: str = "") -> None:
    folder = zone / source / f"day={DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.csv").write_text(ROWS[source] + more)
    (folder / "_SUCCESS").touch()


def build(table: str, besides: Mapping[str, object] | None = None, run_id: str = "run") -> None:
    """Record that a table of the day was built from what it declares."""
    graph = lineage.graph()
    inputs = {DAY: graph.windows(table, DAY)}
    known = builds.before(graph, table, inputs)
    builds.record(known, table, Days.one(DAY), inputs, run_id=run_id, snapshot=1, besides=besides)


def load() -> None:
    """Record that what is delivered of the day was loaded."""
    for source in contracts.landing_sources():
        contract = contracts.landing_contract(source)
        for delivery in LandingZone().deliveries(contract, Days.one(DAY)):
            records.record_builds([Build(contract.table, DAY, f"version 1 {delivery.content_digest}", "run", None)])


def run_of_the_day(
    kind: str = "daily",
    *,
    status: str = "done",
    at: str | None = None,
    scores: Callable[[str], None] = lambda _run_id: None,
) -> str:
    """Record a run that loads, builds, scores and publishes all that there is."""
    run_id = records.start_run(kind, Days.one(DAY))
    load()
    for step in lineage.graph().steps({}):
        if step.kind != "ingest":
            for table in step.tables:
                build(table)
    scores(run_id)
    publish(run_id, at)
    records.finish_run(run_id, status)
    return run_id


def publish(run_id: str, at: str | None = None) -> None:
    with records.stage(run_id, DAY, "publish") as notes:
        notes.detail = {"at": at} if at else {}


def stands() -> str | None:
    found = unchanged.run_that_stands(DAY, ())
    return found and found.run_id


@pytest.mark.usefixtures("zone")
def test_a_day_that_was_run_stands_until_it_is_run_again():
    assert stands() is None
    first = run_of_the_day()
    assert stands() == first

    second = run_of_the_day()
    assert stands() == second


@pytest.mark.usefixtures("zone")
def test_a_run_that_found_nothing_to_do_is_no_run_that_did_it():
    done = run_of_the_day()
    records.finish_run(records.start_run("daily", Days.one(DAY)), "unchanged")

    assert stands() == done


def deliver_again(zone: Path) -> None:
    deliver(zone, "users", "u2,2023-04-01T00:00:00Z\n")


def withdraw(zone: Path) -> None:
    (zone / "events" / f"day={DAY}" / "_SUCCESS").unlink()


def deliver_another(zone: Path) -> None:
    folder = zone / "items" / f"day={DAY}"
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()


def build_since(_zone: Path) -> None:
    build("features.user")


@pytest.mark.parametrize("change", [deliver_again, withdraw, deliver_another, build_since])
def test_a_day_does_not_stand_when_what_it_is_made_of_is_another(zone: Path, change: Callable[[Path], None]):
    run_of_the_day()
    assert stands()
    change(zone)

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_does_not_stand_when_a_setting_is_another(monkeypatch: pytest.MonkeyPatch):
    run_of_the_day()
    monkeypatch.setenv("REKINDLE_LAPSE_DAYS", "8")
    settings.cache_clear()

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_does_not_stand_when_our_code_is_another(monkeypatch: pytest.MonkeyPatch):
    run_of_the_day()
    monkeypatch.setattr(made_by, "code_digest", lambda: "another")

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_that_ended_badly_or_by_another_clock_does_not_stand():
    run_of_the_day(status="failed")
    assert stands() is None
    run_of_the_day("backfill")
    assert stands() is None
    run_of_the_day(at="2023-05-02T07:00:00+00:00")
    assert stands() is None


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    "how", [{"status": "failed"}, {"status": "failed", "at": "2023-05-02T07:00:00+00:00"}, {"kind": "backfill"}]
)
def test_a_day_does_not_stand_when_another_run_published_it_since(how: dict[str, str]):
    """Also one that failed after that, in the page about the day: what readers have is what it published."""
    run_of_the_day()
    assert stands()
    run_id = records.start_run(how.get("kind", "daily"), Days.one(DAY))
    publish(run_id, how.get("at"))
    records.finish_run(run_id, how.get("status", "done"))

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_does_not_stand_that_was_not_published_though_its_run_is_said_to_be_done():
    """Somebody has told Airflow that the task was done."""
    run_id = run_of_the_day()
    with pytest.raises(RuntimeError), records.stage(run_id, DAY, "publish"):
        raise RuntimeError
    records.finish_run(run_id, "done")

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_does_not_stand_when_a_table_was_built_between_its_publishing_and_its_end():
    run_id = run_of_the_day()
    build("features.user")
    records.finish_run(run_id, "done")

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_stands_though_what_nobody_publishes_was_built_beside_its_publishing():
    """As a scheduler does, which does not let readers wait for it."""
    done = run_of_the_day()
    build("marts.campaign_results")
    assert stands() == done

    build("marts.permission")
    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_a_day_does_not_stand_when_rows_of_it_were_deleted_for_their_age():
    run_of_the_day()
    records.record_expiry("features.user", DAY + timedelta(1))

    assert stands() is None
    assert not unchanged.are_built(["features.user"], DAY, "daily")


@pytest.mark.usefixtures("zone")
def test_a_day_does_not_stand_when_who_released_another_table_could_not_record_it():
    run_of_the_day()
    records.doubt_builds("features.user", Days.one(DAY))

    assert stands() is None


@pytest.mark.usefixtures("zone")
def test_what_is_made_of_what_people_decide_in_postgres_is_always_built():
    run_of_the_day()

    assert not unchanged.are_built(["campaigns.assignment"], DAY, "daily")
    assert unchanged.are_built(["campaigns.assignment"], DAY, "backfill")


@pytest.mark.usefixtures("zone")
def test_a_day_of_which_a_stage_failed_that_scores_do_not_wait_for_does_not_stand():
    run_id = run_of_the_day()
    with pytest.raises(RuntimeError), records.stage(run_id, DAY, "ingest contacts"):
        raise RuntimeError

    assert stands() is None


def test_a_delivery_that_cannot_be_used_is_told_by_who_waits_for_it(zone: Path):
    run_of_the_day()
    (zone / "users" / f"day={DAY}" / "rows.csv").write_text("user\nu1\n")
    with pytest.raises(InputError, match="missing_column"):
        stands()

    assert unchanged.unless_unanswered(lambda: unchanged.run_that_stands(DAY, ())) is None


@pytest.fixture
def in_office(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | None], None]:
    """Say which version of recall would score the day, or why none would; nothing else has a model."""

    def says(number: str, why_skipped: str | None = None) -> None:
        model = SimpleNamespace(name="rekindle_recall", version=number, digest=f"digest {number}")
        skipped = {RECALL.name: why_skipped}
        monkeypatch.setattr(registry, "why_skipped", lambda one, *_, **__: skipped.get(one.name, "nobody trained it"))
        monkeypatch.setattr(registry, "model_for", lambda *_, **__: (model, False))

    return says


def score(run_id: str) -> None:
    """Record that the version in office has scored the day."""
    build(RECALL.table, registry.told_of(registry.model_for(RECALL, DAY)[0], is_backfilled=False), run_id)


@pytest.mark.usefixtures("zone")
def test_a_product_is_scored_by_the_version_that_would_score_it_now(in_office: Callable[..., None]):
    """Another champion, and one that a rollback has brought back, score the day anew; who has none had none then."""
    in_office("1")
    run_of_the_day()
    assert not unchanged.is_scored(RECALL, DAY)
    run_of_the_day(scores=score)
    assert unchanged.is_scored(RECALL, DAY)

    in_office("2")
    assert not unchanged.is_scored(RECALL, DAY)
    in_office("1", why_skipped="no model of it has become champion yet")
    assert not unchanged.is_scored(RECALL, DAY)
    assert unchanged.is_scored(LTV, DAY)


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("how", [{"status": "failed"}, {"kind": "backfill"}])
def test_a_product_is_scored_anew_where_nobody_knows_that_its_scores_were_served(
    in_office: Callable[..., None], how: dict[str, str]
):
    """The run that scored a day says for which days a champion was in office."""
    in_office("1")
    run_of_the_day(scores=score, **how)

    assert not unchanged.is_scored(RECALL, DAY)


@pytest.mark.usefixtures("zone")
def test_a_day_stands_when_each_product_was_scored_before_it_was_published(in_office: Callable[..., None]):
    in_office("1")
    done = run_of_the_day(scores=score)
    assert unchanged.run_that_stands(DAY, (RECALL,))
    score(done)

    assert unchanged.run_that_stands(DAY, (RECALL,)) is None


@pytest.mark.usefixtures("zone")
def test_tables_are_built_where_the_same_code_made_them_of_the_same_inputs(monkeypatch: pytest.MonkeyPatch):
    """Whatever version of the code made them, where a day is only scored again."""
    table = "features.user"
    assert not unchanged.are_built([table], DAY, "daily")
    run_of_the_day()
    assert unchanged.are_built([table], DAY, "daily")
    monkeypatch.setattr(made_by, "code_digest", lambda: "another")

    assert not unchanged.are_built([table], DAY, "daily")
    assert unchanged.are_built([table], DAY, "backfill")
