"""Commands about the daily work: run, backfill, scores, report, check."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import (
    AtOption,
    DayOption,
    FromOption,
    JsonOption,
    ToOption,
    answer,
    console,
    example,
    fail,
    refuse_unfinished,
    take_over_verdicts,
    write_csv,
)
from rekindle.cli.models import ProductArgument, named_product
from rekindle.errors import CheckFailedError, InputError
from rekindle.progress import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from ml.products import Product
    from rekindle.publishing import ScoreProduct
    from rekindle.publishing.stake import AtStake
    from rekindle.records import Run, Stage
    from rekindle.warehouse.contracts import Contract

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="VERSION",
        help="Score with the version of this number, of every product; the rows are marked as backfilled.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle run --day 2017-12-28"))(run)
    app.command(epilog=example("rekindle backfill --from 2017-01-01 --to 2017-12-28"))(backfill)
    app.command(epilog=example("rekindle permissions"))(permissions)
    app.command(epilog=example("rekindle scores recall --day 2017-12-28 --user 1234"))(scores)
    app.command(epilog=example("rekindle report --day 2017-12-28"))(report)
    app.command(epilog=example("rekindle check features.user --day 2017-12-28"))(check)
    app.command(epilog=example("rekindle docs"))(docs)
    app.command(epilog=example("rekindle migrate"))(migrate)


def run(
    *,
    day: DayOption,
    wait_minutes: Annotated[
        float, typer.Option(help="How long to wait for deliveries that are not there yet.", min=0)
    ] = 0,
    at: AtOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Build again also what stands, because nothing has changed.")
    ] = False,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Build on branches, publish nothing, and tell what would differ from what is published."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """
    Run the daily DAG for a day, through Airflow: load, build features, score, publish, report.

    What stands, because neither its inputs nor our code, contracts and settings have changed since, is not built again; a day of
    which that is true of all is left as it is, unless --at or --force is given.

    With --shadow the same jobs run without Airflow, and nothing of them is left: what would be published is held against what is,
    in counts and differences that name nobody. Exit code 1 if a check would stop the day.
    """
    from rekindle import platform
    from rekindle.days import Days
    from rekindle.workflow import running

    platform.attach()
    refuse_unfinished(day)
    _refuse_unready(day, wait_minutes)
    if shadow:
        _run_in_shadow(day, at, as_json=json)
        return
    tell = _quiet if json else tell_stage
    with shown(as_json=json) as progress:
        parameters = {"kind": "daily", "force": force, **({"at": at.isoformat()} if at else {})}
        (done,) = running.run_days(
            "daily_scores", Days.one(day), parameters, tell, wait_minutes=wait_minutes, progress=progress
        )
    if done.status == "unchanged":
        text = (
            f"Nothing of {day} has changed since it was built and published; who may be sent to was decided again. "
            "--force builds it anew."
        )
        answer(_told(done), as_json=json, text=text)
        return
    given = [f"Permission is as of {at:%Y-%m-%d %H:%M} UTC, which was given."] if at else []
    answer(
        {**_told(done), **({"at": at} if at else {})},
        as_json=json,
        text="\n".join([*given, f"Done. The report: {_report_path(day)}"]),
    )


def _run_in_shadow(day: date, at: datetime | None, *, as_json: bool) -> None:
    from rekindle.cli.shadow import text_of
    from rekindle.workflow import shadow

    with shown(as_json=as_json) as progress:
        told = shadow.run(day, at=at, say=_say_nothing if as_json else console().print, progress=progress)
    answer(told.to_json(), as_json=as_json, text=text_of(told))
    if not told.is_fit:
        fail(CheckFailedError.exit_code)


def permissions(*, at: AtOption = None, json: JsonOption = False) -> None:
    """
    Take permission away: record new opt-outs, withdrawals and erasures of the landing zone, and publish them.

    It never grants. It needs Postgres and the landing zone, and works while anything else is broken; the DAG `permissions`
    does the same each hour.
    """
    from rekindle import platform, records
    from rekindle.days import Days
    from rekindle.permission import taking_away
    from rekindle.postgres import today

    platform.attach()
    with records.own_run("permissions", Days.one(at.date() if at else today())) as run_id:
        done = taking_away.main(run_id, at=at)
    told = [f"As of {done.at:%Y-%m-%d %H:%M:%S} UTC{', which was given' if at else ''}: {done.words}"]
    # Not asdict: it would count the pairs of the counter anew.
    answer({**vars(done), "run_id": run_id}, as_json=json, text="\n".join(told))
    done.refuse_unusable()


def backfill(
    *,
    first: FromOption = None,
    last: ToOption = None,
    stale: Annotated[bool, typer.Option("--stale", help="Rebuild what is stale instead of a range.")] = False,
    model: ModelOption = None,
    json: JsonOption = False,
) -> None:
    """
    Build a history: raw and features as one range, then the scores day by day with the champion that was in effect.

    What is built or scored and not stale is left as it is, so a backfill that was interrupted goes on where it stopped. It
    writes history, never the current published rows. Days without a champion are named and left unscored; --model scores
    all days, also those that have scores.
    """
    from rekindle import platform
    from rekindle.days import Days, NotADayError
    from rekindle.workflow import backfill

    if stale == (first is not None and last is not None):
        raise InputError(
            "A backfill needs either a range or --stale.", todo="Give --from and --to, or --stale.", code="usage"
        )
    try:
        days = Days.between(first, last) if first is not None and last is not None else None
    except NotADayError as error:
        raise InputError(str(error), todo="See `rekindle backfill --help`.", code="usage") from error
    platform.attach()
    say = _say_nothing if json else console().print
    if days is not None:
        refuse_unfinished(days.last)
    with shown(as_json=json) as progress:
        told = backfill.build(days, model, say, progress) if days else backfill.rebuild_stale(say, progress)
    answer(told.to_json(), as_json=json, text=told.text)


def scores(
    product: ProductArgument,
    *,
    day: DayOption,
    user: Annotated[str | None, typer.Option("--user", help="Only this user.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many rows, the best first.", min=1)] = 10,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="Answer in CSV; a text that a spreadsheet would take for a formula gets an apostrophe in front.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what was published for a day, and why: the best scores, or one user's."""
    from rekindle import platform
    from rekindle.publishing import history_of

    if csv and json:
        raise InputError("Scores come as CSV or as JSON.", todo="Give --csv or --json.", code="usage")
    platform.attach()
    scored = named_product(product)
    rows = history_of(scored, day, user_id=user, limit=limit)
    if not rows:
        raise _why_no_scores(scored, day, user)
    if csv:
        write_csv(rows)
        return
    answer({"product": product, "day": day, "rows": rows}, as_json=json, text=score_table(scored, rows))


def _why_no_scores(product: Product, day: date, user: str | None) -> InputError:
    """Tell apart what was not published, who was not scored, and whom nobody knows."""
    from rekindle.days import Days
    from rekindle.publishing import history_of
    from rekindle.publishing.history import not_published
    from rekindle.warehouse.spark import session
    from rekindle.warehouse.tables import read_days

    safe = "Nothing was changed."
    if user is None or not history_of(product, day, limit=1):
        return not_published(product.name, day)
    features = read_days(session(), "features.user", Days.one(day))
    if features.where(features["user_id"] == user).isEmpty():
        return InputError(
            f"No user of this id was known at the end of {day}.",
            todo="Write the id as the sources deliver it, or name a day on which the user had registered.",
            safe=safe,
            code="unknown_user",
        )
    return InputError(
        f"This user was known on {day}, but not in the population of {product.name}.",
        todo=f"See {product.population} for who is, or name a day on which the user was.",
        safe=safe,
        code="not_in_population",
    )


def report(*, day: DayOption, json: JsonOption = False) -> None:
    """
    Write the page about a day again, from the records of the last run that scored it, or tried to.

    Prints where the page is, and the index of all days.
    """
    from rekindle import platform, records
    from rekindle import report as page

    platform.attach()
    runs = [run for run in records.runs(day) if run.kind in page.KINDS and run.status != "unchanged"]
    if not runs:
        raise InputError(f"No run is recorded for {day}.", todo=f"Run it: rekindle run --day {day}")
    path = page.write(day, runs[-1].run_id)
    index = page.index_path()
    answer({"report": str(path), "index": str(index)}, as_json=json, text=f"{path}\n{index}")


def check(
    table: Annotated[str, typer.Argument(help="A table with a contract, for example features.user.")],
    *,
    day: DayOption,
    json: JsonOption = False,
) -> None:
    """
    Run a table's contract on a day that is released; exit code 1 if a check that stops has failed.

    Or if there is nothing to check: a day that was never built, or one without rows of a table that is never without.
    """
    from rekindle import platform, records
    from rekindle.days import Days
    from rekindle.warehouse import checks, contracts, tables
    from rekindle.warehouse.spark import session

    contract = contracts.load(table)
    platform.attach()
    refuse_unfinished(day)
    spark, days = session(), Days.one(day)
    rows = tables.read_days(spark, table, days)
    is_empty = rows.isEmpty()
    if is_empty and (error := _why_nothing_to_check(contract, day)):
        raise error
    with records.own_run("check", days) as run_id:
        with shown(as_json=json) as progress, progress.step(f"Checking {table}"):
            results = checks.audit(spark, contract, rows, days, stored=spark.table(table), run_id=run_id)
        records.record_checks(run_id, day, table, results)
    lines = ["no rows: the day was built, and brought none"] if is_empty else []
    lines += [
        f"{'accepted' if records.is_accepted(result) else result.outcome:<10} {result.severity:<5} {result.rule}"
        for result in results
    ]
    answer(
        {"table": table, "day": day, "is_empty": is_empty, "results": [asdict(r) for r in results]},
        as_json=json,
        text="\n".join(lines),
    )
    if any(map(records.stops, results)):
        raise typer.Exit(CheckFailedError.exit_code)


def _why_nothing_to_check(contract: Contract, day: date) -> CheckFailedError | None:
    """
    Each rule passes where there are no rows. None for a table of news, of which a day may bring none.

    A table about everybody says so: it stops where its rows change by too much.
    """
    from rekindle.warehouse import builds, lineage

    if day not in builds.Known(lineage.graph(), {}).builds_of(contract.table):
        what, todo = "it was never built", f"Build it: rekindle backfill --from {day} --to {day}"
    elif "rows_change_by" in contract.stop_if:
        what, todo = (
            "it was built empty, and is never empty",
            "See `rekindle report` and the checks of what it is built from.",
        )
    else:
        return None
    return CheckFailedError(
        f"{contract.table} has no rows of {day}: {what}.", todo=todo, safe="Nothing was changed.", code="no_rows"
    )


def docs(*, json: JsonOption = False) -> None:
    """Write a page about all tables from the landing zone to `sms`, their lineage and columns, and dbt's page beside it."""
    from rekindle import docs, platform
    from rekindle.warehouse import dbt

    platform.attach()
    path = docs.write(dbt.docs())
    answer({"docs": str(path)}, as_json=json, text=str(path))


def migrate(*, json: JsonOption = False) -> None:
    """Bring schemas, tables and marts up to date on the servers that the environment names; `up` does so for its own."""
    from rekindle import platform, postgres
    from rekindle.warehouse.migrate import migrate as bring_up_to_date
    from rekindle.warehouse.spark import session

    platform.attach()
    with shown(as_json=json) as progress, progress.step("Bringing schemas, tables and marts up to date"):
        postgres.migrate()
        bring_up_to_date(session())
        taken_over = take_over_verdicts()
    text = "\n".join(["Schemas, tables and marts are up to date.", *taken_over])
    answer({"migrated": True, "taken_over": taken_over}, as_json=json, text=text)


def tell_stage(stage: Stage) -> None:
    """One line per stage that is over."""
    rows = "" if stage.row_count is None else f"  {stage.row_count:,} rows"
    mark = "" if stage.status == "done" else "  FAILED"
    console().print(f"  {stage.day}  {stage.stage:<24}{stage.seconds:6.1f} s{rows}{mark}")


def score_table(product: ScoreProduct, rows: list[dict[str, Any]]) -> Any:
    """Published rows as a table for a terminal of 80 columns, with what their publication shows; `--json` has the rest."""
    from rekindle.publishing import publications

    publication = publications.of_table(product.table)
    return table([*publication.key, *(publication.shown or publication.figures)], rows)


def stake_table(found: AtStake) -> Any:
    """The users with the most at stake as a table: what is at stake, what it is made of, and the first reason."""
    from rekindle.publishing import stake

    reason = next((c.name for c in found.publication.columns if c.reason), None)
    figures = [name for name in found.rows[0] if name in found.used]
    first = [stake.VALUE] if found.is_value else []
    rows = [{**row, stake.VALUE: row[stake.VALUE] and round(row[stake.VALUE], 2)} for row in found.rows]
    return table([*found.publication.key, *first, *figures, *([reason] if reason else [])], rows)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a table for people."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim")
    for name in columns:
        # As words, which break where the terminal is narrow; a name is cut.
        table.add_column(name.replace("_", " "))
    for row in rows:
        # Text, not markup: what a source delivered must not be read as a style.
        table.add_row(*[Text("" if row[name] is None else str(row[name])) for name in columns])
    return table


def _refuse_unready(day: date, wait_minutes: float) -> None:
    """Say at once what the run's own wait would say later."""
    from rekindle.days import Days
    from rekindle.landing.zone import LandingZone, no_delivery

    zone = LandingZone()
    missing = zone.holding_up(day)
    if missing and not wait_minutes:
        raise no_delivery(zone, day, missing)
    zone.refuse_unusable(Days.one(day))


def _report_path(day: date) -> str:
    from rekindle import report as page

    return str(page.page_path(day))


def _told(run: Run) -> dict[str, Any]:
    from rekindle import records

    stages = [
        {"stage": s.stage, "status": s.status, "seconds": round(s.seconds, 2), "rows": s.row_count}
        for s in records.stages(run_id=run.run_id)
    ]
    return {"run_id": run.run_id, "day": run.first_day, "status": run.status, "stages": stages}


def _quiet(_stage: Stage) -> None:
    """Say nothing: who asked for JSON gets one object."""


def _say_nothing(_line: str) -> None:
    """Say nothing: who asked for JSON gets one object."""
