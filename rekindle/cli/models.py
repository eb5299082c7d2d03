"""Commands about the models: train, recalibrate, backtest, sample-rows, models, promote, rollback."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - typer reads it
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ml import products
from ml.products import Product
from rekindle.cli.common import (
    DayOption,
    FromOption,
    JsonOption,
    ToOption,
    answer,
    example,
    parsed_day,
    refuse_unfinished,
)
from rekindle.errors import CheckFailedError, InputError
from rekindle.progress import estimate, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from ml.products import Recommendation, Registered
    from ml.registry import Version
    from ml.training import recommending as recommending_
    from ml.training.trainer import Training
    from rekindle.progress import Progress
    from rekindle.report.who_scored import Day

ProductArgument = Annotated[
    str, typer.Argument(metavar="PRODUCT", help=f"A score product: {' or '.join(p.name for p in products.PRODUCTS)}.")
]


RegisteredArgument = Annotated[
    str, typer.Argument(metavar="PRODUCT", help=f"What is trained: {' or '.join(p.name for p in products.REGISTERED)}.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle train recall --day 2017-12-28"))(train)
    app.command(epilog=example("rekindle recalibrate recall --day 2017-12-28"))(recalibrate)
    app.command(epilog=example("rekindle backtest recall --from 2017-07-01 --to 2017-12-28 --json"))(backtest)
    app.command("sample-rows", epilog=example("rekindle sample-rows recall --day 2017-12-28 --to my-model"))(
        sample_rows
    )
    app.command(epilog=example("rekindle models recall --scored 2017-12-28 --json"))(models)
    app.command(epilog=example("rekindle promote recall 3"))(promote)
    app.command(epilog=example("rekindle rollback recall"))(rollback)


def train(product: RegisteredArgument, *, day: DayOption, json: JsonOption = False) -> None:
    """
    Train a product on what was known at the end of a day: candidates, evaluation, gate, registry.

    A model that ranks better than the best naive rule on the test days, and whose level holds, becomes champion, unless a
    champion of a later day is there. Where a model is in office, its recipe is fitted on the same days, too: another recipe has
    to be better than it, or simpler and not worse, and otherwise that of the champion goes on; conf/gate.yml says by how much.

    Where the model is out, the naive rule scores in its place, calibrated, and the answer says that the model lost; the exit
    code is 0, because somebody is scored. Where the rule is out, too, the exit code is 1 and the champion stays.

    Of `recommendation`, what is learnt has to be better than popularity and than the best retriever alone.
    """
    from rekindle import platform

    chosen = named_registered(product)
    if isinstance(chosen, Product):
        refuse_untrained(chosen)
    refuse_unsupplied(chosen, day)
    platform.attach()
    refuse_unfinished(day)
    with shown(as_json=json) as progress:
        done = trained(chosen, day, progress) if isinstance(chosen, Product) else recommending(day, progress)
    answer(done.to_json(), as_json=json, text=_told(done))
    if not done.verdict.passed:
        raise typer.Exit(CheckFailedError.exit_code)


def recalibrate(product: ProductArgument, *, day: DayOption, json: JsonOption = False) -> None:
    """
    Look whether the champion's level holds on the labels that have become known since it was trained, and calibrate it anew.

    Nothing is trained: the raw scores stay. Another calibration is fitted to some of those days, judged on later ones, and
    becomes champion by the gate's route *recalibration* where it is better beyond chance. Where nothing is better the answer says
    so. The exit code is 1 where the level does not hold and nothing was let in that mends it.
    """
    from rekindle import platform, records
    from rekindle.days import Days

    chosen = named_product(product)
    refuse_untrained(chosen)
    refuse_unsupplied(chosen, day)
    platform.attach()
    refuse_unfinished(day)
    from ml.training import recalibrator
    from rekindle.warehouse.spark import session

    name = f"recalibrate {chosen.name}"
    with (
        shown(as_json=json) as progress,
        records.own_run("recalibrate", Days.one(day)) as run_id,
        records.stage(run_id, day, name) as notes,
        progress.step(f"Recalibrating {chosen.name}", expected=estimate(1, records.durations(name))),
    ):
        done = recalibrator.recalibrate(session(), chosen, day, run_id, progress)
        notes.detail = {"recalibration": done.told}
    answer(done.to_json(), as_json=json, text=done.told)
    if done.is_off:
        raise typer.Exit(CheckFailedError.exit_code)


def trained(product: Product, day: date, progress: Progress) -> Training:
    """Train a product as a run of its own with one stage, whose duration tells how long the next one takes."""
    from ml.training import trainer
    from rekindle import records
    from rekindle.days import Days
    from rekindle.warehouse.spark import session

    name = f"train {product.name}"
    with (
        records.own_run("train", Days.one(day)) as run_id,
        records.stage(run_id, day, name),
        progress.step(f"Training {product.name}", expected=estimate(1, records.durations(name))),
    ):
        return trainer.train(session(), product, day, run_id, progress)


def recommending(day: date, progress: Progress) -> recommending_.Training:
    """Train recommendations as a run of its own with one stage."""
    from ml.training import recommending as trainer
    from rekindle import records
    from rekindle.days import Days
    from rekindle.warehouse.spark import session

    name = f"train {products.RECOMMENDATION.name}"
    with (
        records.own_run("train", Days.one(day)) as run_id,
        records.stage(run_id, day, name),
        progress.step(f"Training {products.RECOMMENDATION.name}", expected=estimate(1, records.durations(name))),
    ):
        return trainer.train(session(), day, run_id, progress)


def _told(done: Training | recommending_.Training) -> RenderableType:
    from ml.training import recommending as trainer

    return _recommending(done) if isinstance(done, trainer.Training) else _training(done)


def _recommending(done: recommending_.Training) -> RenderableType:
    from rich.console import Group
    from rich.table import Column, Table

    told, figures = done.to_json(), ("ndcg_10", "recall_100", "coverage_10")
    champion = "is champion" if done.promoted else f"did not become champion, for {done.why_not_promoted}"
    table = Table(
        Column("by", no_wrap=True), *figures, title=f"{told['users']:,} users", title_justify="left", box=None
    )
    for by, found in told["figures"].items():
        table.add_row(by, *(_cell(found.get(name)) for name in figures))
    return Group(
        f"Version {done.version.version} of {done.version.name} {champion}: {done.verdict.why}.",
        f"{told['ranker']}. Left out: {'; '.join(told['rules'])}.",
        table,
    )


def refuse_unsupplied(product: Registered, day: date) -> None:
    from rekindle.landing.zone import LandingZone

    if why := LandingZone().why_unsupplied(product.sources, day):
        raise InputError(
            f"{product.name} cannot be trained as of {day}: {why}.",
            todo="Deliver them, or train another product; the daily run skips this one.",
            safe="Nothing was trained.",
            code="never_delivered",
        )


def backtest(
    product: ProductArgument,
    *,
    first: FromOption = None,
    last: ToOption = None,
    share: Annotated[
        float, typer.Option("--share", min=0.001, max=1.0, help="The share of users that is texted, best first.")
    ] = 0.1,
    page: Annotated[
        Path | None, typer.Option("--page", help="Where the page is written; by default among the daily reports.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Train and judge on rolling time splits of the stored history; writes a page, but no table, and registers nothing.

    All candidates and naive rules are judged on the same rows of each block of days, of which there are five where the history
    allows, by the first horizon. --from and --to bound the days that are judged; by default the later half of the history.
    Losing to the naive rule is a result, not a failure: the exit code is 0.
    """
    from rekindle import platform

    chosen = named_product(product)
    refuse_untrained(chosen)
    platform.attach()
    from ml.training import backtest as testing
    from ml.training import samples, tuned
    from rekindle.report import backtest as pages
    from rekindle.settings import settings
    from rekindle.warehouse.spark import session

    hyper = tuned.of_product(chosen)
    with shown(as_json=json) as progress, progress.step(f"Testing {product}"):
        with progress.step("reading the sample"):
            spark = session()
            sample = samples.sample(spark, chosen, samples.last_day(spark), settings())
        found = testing.backtest(
            chosen, sample, settings(), first=first, last=last, share=share, tuned=hyper, progress=progress
        )
    told = found.to_json()
    path = pages.write(told, found.drawn(), page)
    answer({**told, "page": path}, as_json=json, text=_backtest(told, path))


def sample_rows(
    product: ProductArgument,
    *,
    day: DayOption,
    to: Annotated[Path, typer.Option("--to", help="Folder that is empty, not there yet, or holds an earlier sample.")],
    json: JsonOption = False,
) -> None:
    """
    Write the rows that a training as of a day would learn from, for a model of your own: Parquet, and what its columns are.

    `rows.parquet` has a row per member of the population and day: a pseudonym, the labels, the part of the split (train,
    validation, test) and the features, encoded as our learners get them. `columns.json` says of each column what it means and
    how it was encoded, and of the whole which days are what and what it cannot tell. They are personal data still.
    """
    from rekindle import platform

    chosen = named_product(product)
    refuse_untrained(chosen)
    refuse_unsupplied(chosen, day)
    platform.attach()
    refuse_unfinished(day)
    from ml.training import sample_rows as rows
    from ml.training import samples
    from rekindle.settings import settings
    from rekindle.warehouse.spark import session

    rows.refuse_other_files(to)
    with shown(as_json=json) as progress, progress.step("Writing the sample"):
        spark = session()
        samples.refuse_undelivered(spark, day)
        sample = samples.sample(spark, chosen, day, settings())
        done = rows.write(chosen, sample, samples.split(sample, settings()), to)
    data = {
        "product": chosen.name,
        "day": day,
        "folder": to,
        "rows": done.row_count,
        "features": done.feature_count,
        "rows_by_part": done.parts,
        "sample_digest": sample.digest,
    }
    text = f"{done.row_count:,} rows with {done.feature_count} features: {to / rows.ROWS}, explained in {to / rows.COLUMNS}."
    answer(data, as_json=json, text=text)


def refuse_untrained(product: Product) -> None:
    if not product.is_trained:
        raise InputError(
            f"{product.name} is not trained: its scores are computed from its population alone.",
            todo=f"Name one that is: {' or '.join(one.name for one in _trained_products())}.",
            code="not_trained",
        )


def models(
    product: Annotated[str | None, typer.Argument(metavar="[PRODUCT]", help="What is trained; by default all.")] = None,
    *,
    scored: Annotated[
        date | None,
        typer.Option(
            "--scored",
            parser=parsed_day,
            metavar="YYYY-MM-DD",
            help="Say which version scored this published day of a product, by which gate, and who had promoted it when.",
        ),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option("--to", parser=parsed_day, metavar="YYYY-MM-DD", help="With --scored: each day up to this one."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    List the registered versions by product: what the gate said, who is champion, and since when.

    With --scored, say of published days which version scored them, from what is published and the promotion log.
    """
    from rekindle import platform

    chosen = [named_registered(product)] if product else _trained_products()
    platform.attach()
    if scored or last:
        days = _who_scored(product, scored, last)
        data = {"product": product, "days": [day.to_json() for day in days]}
        answer(data, as_json=json, text="\n".join(map(_day_scored, days)))
        return
    from ml import registry

    told = {one.name: registry.overview(one) for one in chosen}
    answer(told, as_json=json, text=_overviews(told))


def _who_scored(product: str | None, first: date | None, last: date | None) -> list[Day]:
    """Find who scored some published days. Raises InputError where none of them was published."""
    from rekindle.days import Days
    from rekindle.publishing import history
    from rekindle.report import who_scored

    if product is None or first is None:
        raise InputError(
            "Who scored is asked of a product and a day.",
            todo="Write `rekindle models recall --scored 2017-12-28`, and --to for each day up to another.",
        )
    refuse_untrained(named_product(product))
    days = Days.between(first, last or first)
    found = who_scored.find(history.product_publication(product), days.first, days.last)
    if not found:
        raise history.not_published(product, first)
    return found


def _day_scored(day: Day) -> str:
    told, promotion = day.to_json(), day.promotion
    users = "its rows are gone" if day.users is None else f"{day.users:,} users"
    gate = f"gate {told['gate']}" if told["gate"] else "never judged"
    route = f" by route {told['route']}" if told["route"] else ""
    said = (
        f"{day.day}: version {day.version or 'nobody'} ({gate}{route}, digest {(told['digest'] or 'unknown')[:12]}), "
        f"{users}{', in a backfill' if day.is_backfilled else ''}"
    )
    if promotion is None:
        return f"{said}; no promotion: it was named by hand"
    who = f" by {promotion.promoted_by}" if promotion.promoted_by else ""
    at = f"{promotion.promoted_at:%Y-%m-%d %H:%M} UTC"
    return f"{said}; promoted {at}{who}, from {promotion.effective_from_day} on, {promotion.reason.split(';')[0]}"


def _trained_products() -> list[Registered]:
    return list(products.REGISTERED)


def _overviews(told: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Column, Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for name, overview in told.items():
        title = (
            f"{name}: version {overview['champion']} is champion" if overview["champion"] else f"{name}: no champion"
        )
        if overview["waiting"]:
            title += f"; version {overview['waiting']} passed and waits: rekindle promote {name} {overview['waiting']}"
        table = Table(
            *("version", "trained as of", "in effect from"),
            Column("gate", overflow="fold"),
            box=None,
            title_justify="left",
        )
        for version in overview["versions"]:
            said = "passed" if version["passed"] else "failed" if version["why"] else "never judged"
            day, since = version["trained_day"] or "", version["effective_from_day"] or ""
            table.add_row(version["version"], str(day), str(since), Text(f"{said}: {version['why'] or 'no verdict'}"))
        parts += [title, table if overview["versions"] else f"  Train one: rekindle train {name} --day D", ""]
    return Group(*parts)


def promote(
    product: RegisteredArgument,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Number of a registered version.")],
    *,
    json: JsonOption = False,
) -> None:
    """Make a version champion, for the days after its training that no daily run has served yet. Its gate must have passed."""
    from rekindle import platform, records
    from rekindle.days import Days

    chosen = named_registered(product)
    platform.attach()
    from ml import registry

    with records.own_run("promote", Days.one(registry.version(chosen, version).trained_day)) as run_id:
        champion = registry.promote(chosen, version, run_id=run_id, reason="promoted by hand")
    _tell_champion(chosen, champion, as_json=json)


def rollback(product: RegisteredArgument, *, json: JsonOption = False) -> None:
    """Go back to the champion before this one, for all days since this one took effect."""
    from rekindle import platform, records
    from rekindle.days import Days

    chosen = named_registered(product)
    platform.attach()
    from ml import registry

    with records.own_run("rollback", Days.one(registry.champion(chosen).trained_day)) as run_id:
        champion = registry.rollback(chosen, run_id=run_id)
    _tell_champion(chosen, champion, as_json=json)


def named_product(name: str, *others: str) -> Product:
    """Return the product, or say which there are; `others` is what else may be named."""
    try:
        return products.product_named(name)
    except KeyError:
        known = ", ".join([*(product.name for product in products.PRODUCTS), *others])
        raise InputError(f"There is no score product {name!r}.", todo=f"Choose one of: {known}.") from None


def named_registered(name: str) -> Product | Recommendation:
    """Return what is trained under a name, or a product that is not, or say which there are."""
    if name == products.RECOMMENDATION.name:
        return products.RECOMMENDATION
    return named_product(name, products.RECOMMENDATION.name)


def _tell_champion(product: Registered, champion: Version, *, as_json: bool) -> None:
    from ml import registry

    since = registry.in_effect_since(product, champion)
    data = {
        "product": champion.product,
        "model": champion.name,
        "version": champion.version,
        "digest": champion.digest,
        "trained_day": champion.trained_day,
        "effective_from_day": since,
    }
    text = f"Version {champion.version} of {champion.name}, trained on {champion.trained_day}, is champion from {since} on."
    answer(data, as_json=as_json, text=text)


def _training(done: Training) -> RenderableType:
    from rich.console import Group

    from ml.model import protected

    told = done.to_json()
    champion = "is champion" if done.promoted else f"did not become champion, for {done.why_not_promoted}"
    lines = [f"Version {done.version.version} of {done.version.name} {champion}: {done.verdict.why}."]
    if done.same_as:
        lines.append(
            f"No news: version {done.version.version}, of {done.version.trained_day}, learnt from the same rows."
        )
    lines.append(_learnt(told))
    if done.taught:
        lines.append(done.taught.told)
    if done.kept_out:
        lines.append(protected.told(done.kept_out))
    for label, contest in told["candidates"].items():
        chosen = f"{contest['chosen']} of {', '.join(contest['validation'])}" if contest["chosen"] else "no candidate"
        lines.append(f"{label}: {chosen}, chosen on validation days; to beat: {contest['rule'] or 'chance'}.")
    return Group(*lines, "", *(_figures(days, result) for days, result in told["evaluations"].items()))


def _learnt(told: Mapping[str, Any]) -> str:
    """Say which days the figures are of, and which the version that scores has learnt from."""
    test, refitted = told["days"]["test"], told["refitted"]
    judged = f"Judged on days from {test[0]} to {test[-1]}"
    if refitted["why_not"]:
        return f"{judged}; not fitted again on later ones: {refitted['why_not']}."
    return f"{judged}, then fitted again on all days with a known label: {'; '.join(refitted['days'].values())}."


def _figures(horizon: str, result: Mapping[str, Any]) -> RenderableType:
    """Lay out the figures of one horizon: model, naive rule and difference, each with its interval."""
    from rich.table import Column, Table

    title = f"days {horizon.replace('_', ' to ')}, {result['rows']:,} test rows, {result['verdict']}"
    name_whole = Column("figure", no_wrap=True)
    table = Table(name_whole, "model", "naive rule", "difference", title=title, title_justify="left", box=None)
    for name in result["model"]:
        cells = (_cell(part.get(name)) for part in (result["model"], result["naive"], result["difference"]))
        table.add_row(name, *cells)
    for name, value in result["noise"].items():
        table.add_row(name, f"{value:.3f}", "", "")
    return table


def _cell(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{figure['value']:.3f}  {figure['low']:.3f} to {figure['high']:.3f}"


def _backtest(told: Mapping[str, Any], page: Path) -> RenderableType:
    from rich.console import Group

    mean = {name: f"{value:+.3f}" for name, value in told["mean_difference"].items()}
    return Group(
        f"{told['product']}: {told['verdict']}. {told['blocks_better']} of {len(told['blocks'])} blocks are better; "
        f"{told['figure']} differs by {mean['value']} on average, 95 % interval {mean['low']} to {mean['high']}.",
        *(f"{days} is left out: {why}" for days, why in told["refused_blocks"].items()),
        *(_block(block, told["horizon_days"]) for block in told["blocks"]),
        _contenders("all blocks, mean", told["mean"], told["mean_noise"], told["mean_differences"]),
        f"Pictures and segments: {page}",
    )


def _block(block: Mapping[str, Any], horizon_days: int) -> RenderableType:
    test = block["days"]["test"]
    title = (
        f"days 1 to {horizon_days}, tested {test[0]} to {test[-1]}, {block['rows']:,} rows of {block['users']:,} users, "
        f"mean {block['rate']:.4g}; chosen: {block['model']}, to beat: {block['to_beat']}"
    )
    return _contenders(title, block["contenders"], block["noise"]["model"], block["difference"])


def _contenders(
    title: str, found: Mapping[str, Any], noise: Mapping[str, float], difference: Mapping[str, Any]
) -> RenderableType:
    """Lay out the figures of model, naive rule and difference with their intervals, then those of each contender without."""
    from rich.table import Column, Table

    others = [name for name in found if name not in {"model", "to_beat"}]
    names = ("model", "to beat", "difference", *others)
    table = Table(Column("figure", no_wrap=True), *names, title=title, title_justify="left", box=None)
    for name in found["model"]:
        whole = (found["model"].get(name), found["to_beat"].get(name), difference.get(name))
        values = (found[other].get(name) for other in others)
        table.add_row(name, *map(_cell, whole), *("" if one is None else f"{one['value']:.3f}" for one in values))
    for name, value in noise.items():
        table.add_row(name, f"{value:.3f}")
    return table
