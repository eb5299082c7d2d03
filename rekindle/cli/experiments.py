"""Command about experiments: experiment."""

from __future__ import annotations

import math
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import JsonOption, answer, example, fail
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from rekindle.experiments import Comparison, Estimate
    from rekindle.experiments.analysis import Analysis, OfOutcome, Paid
    from rekindle.experiments.worth import Ratio


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        epilog=example(
            "rekindle experiment test.csv --arm segment --control none --outcome visit --covariate history --feature newbie"
        )
    )(experiment)


def experiment(
    file: Annotated[Path, typer.Argument(help="A csv or parquet file: a row per unit, its arm, what came of it.")],
    *,
    outcome: Annotated[
        list[str], typer.Option(metavar="COLUMN", help="What came of a unit: numbers, true or false. May be repeated.")
    ],
    arm: Annotated[str, typer.Option(metavar="COLUMN", help="Which arm the unit was assigned to.")] = "arm",
    control: Annotated[
        str | None, typer.Option(metavar="NAME", help="The arm that was left alone; default: control.")
    ] = None,
    unit: Annotated[str | None, typer.Option(metavar="COLUMN", help="Id of the unit; refuses repeats.")] = None,
    covariate: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Known before the assignment, such as a score: taken out (CUPED)."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Units that were assigned as one, such as those of a phone.")
    ] = None,
    cost: Annotated[str | None, typer.Option(metavar="COLUMN", help="What was spent on the unit.")] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Known before the assignment: effects within each.")
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM=SHARE", help="Planned share of an arm; default: all equal. Repeated for each arm."),
    ] = None,
    look: Annotated[
        list[float] | None,
        typer.Option(
            help="The experiment still runs: part of its units known at this look, after those of the looks before it."
        ),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Known before the assignment: learners of the effect learn from it, and are compared. May be repeated.",
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Beside the learners: this column alone, the highest first. May be repeated."
        ),
    ] = None,
    halves: Annotated[
        int,
        typer.Option(min=2, help="Times that the units are halved: learners learn on one half, the other measures."),
    ] = 10,
    json: JsonOption = False,
) -> None:
    """
    Say what an experiment caused, from a plain table: by intention to treat, with intervals; refuses one without a control.

    With --feature, say also whether a learner can tell whom it moves. Exit code 1 where the sizes of the arms, or what was
    known before, raise an alarm: then no effect can be read from the table.
    """
    from rich.console import Group

    from rekindle.cli import learners
    from rekindle.experiments.analysis import analyse
    from rekindle.experiments.table import Asked, read
    from rekindle.progress import shown

    asked = Asked(
        outcome, arm, control, unit, covariate, cluster, cost, segment, _shares(share or []), _looks(look),
        features=feature or [], rules=rule or [],
    )  # fmt: skip
    units = read(file, asked)
    found = analyse(units, asked)
    with shown(as_json=json) as progress:
        learnt = learners.compared(units, found.ratio, halves, progress)
    text = "" if json else Group(_text(found), *learners.text(learnt))
    answer(_told(found) | learners.told(learnt), as_json=json, text=text)
    if found.ratio.verdict == "alarm" or not all(one.is_believed for one in learnt):
        fail()


def _shares(given: list[str]) -> dict[str, float]:
    shares = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            shares[name] = float(number)
        except ValueError:
            shares[name] = -1.0
        if not name or not 0 < shares[name] <= 1:
            raise InputError(
                f"--share {text} is no share of an arm.", todo="Write --share ARM=0.5.", safe=_SAFE, code="usage"
            )
    return shares


_SAFE = "Nothing was computed."


def _looks(given: list[float] | None) -> list[float]:
    looks = given or []
    if looks != sorted(set(looks)) or not all(0 < look <= 1 for look in looks):
        raise InputError(
            "Looks are growing parts of an experiment.",
            todo="Write --look 0.4 --look 1.",
            safe=_SAFE,
            code="usage",
        )
    return looks


# For programs


def _told(found: Analysis) -> dict[str, Any]:
    return {
        "control": found.control,
        "sample_ratio": {
            "found": found.ratio.found,
            "planned": found.ratio.planned,
            "p_value": found.ratio.p_value,
            "verdict": found.ratio.verdict,
        },
        "outcomes": {of.name: _outcome(of) for of in found.outcomes},
        "small_segments": found.small_segments,
        "notes": found.notes,
    }


def _outcome(of: OfOutcome) -> dict[str, Any]:
    return {
        "means": of.means,
        "effects": {one.arm: _comparison(one) for one in of.comparisons},
        "segments": {name: {one.arm: _comparison(one) for one in some} for name, some in of.segments.items()},
        "paid": {paid.arm: _paid(paid) for paid in of.paid},
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "effect": one.effect.value,
        "interval": _finite(one.interval),
        "corrected_interval": _finite(one.corrected),
        "comparisons": one.comparisons,
        "corrected_p_value": one.p_value,
        "says": one.told,
        "units": {"arm": one.treated.users, "control": one.control.users},
        "without_covariate": _estimate(one.plain, one.alpha),
        "correlation": one.correlation,
        "variance_ratio": one.variance_ratio,
    }


def _estimate(one: Estimate, alpha: float) -> dict[str, Any]:
    return {"effect": one.value, "interval": _finite(one.interval(alpha))}


def _paid(paid: Paid) -> dict[str, Any]:
    return {
        name: {"value": ratio.value, "interval": ratio.interval and _finite(ratio.interval)}
        for name, ratio in (("cost_per_outcome", paid.cost_per_outcome), ("outcome_per_cost", paid.outcome_per_cost))
    }


def _finite(interval: tuple[float, float]) -> list[float | None]:
    """An end that is not there is null: JSON knows no infinity."""
    return [end if math.isfinite(end) else None for end in interval]


# For people


def _text(found: Analysis) -> RenderableType:
    from rich.console import Group

    from rekindle import groups

    sizes = ", ".join(f"{name} {size:,}" for name, size in found.ratio.found.items())
    return Group(
        f"Units: {sizes}. Against {found.control}. Sample ratio p = {found.ratio.p_value:.4f}: {found.ratio.told}",
        *found.notes,
        *(part for of in found.outcomes for part in _outcome_text(of)),
        *(
            [f"Segments with fewer than {groups.SMALLEST} units in an arm: {found.small_segments}."]
            if found.small_segments
            else []
        ),
    )


def _outcome_text(of: OfOutcome) -> Iterator[RenderableType]:
    yield ""
    yield f"{of.name}: " + ", ".join(f"{arm} {_number(value)}" for arm, value in of.means.items())
    yield _table("arm", [(one.arm, one) for one in of.comparisons])
    if of.segments:
        yield _table(
            "segment, arm", [(f"{name}, {one.arm}", one) for name, some in of.segments.items() for one in some]
        )
    for one in of.comparisons:
        if one.variance_ratio is not None and one.correlation is not None:
            yield (
                f"{one.arm}: the covariate correlates by {one.correlation:.3f} and leaves {one.variance_ratio:.3f} of the"
                f" variance; without it {_number(one.plain.value)} {_interval(one.plain.interval(one.alpha))}"
            )
    for paid in of.paid:
        yield (
            f"{paid.arm}: cost per {of.name} {_ratio(paid.cost_per_outcome)},"
            f" {of.name} per cost {_ratio(paid.outcome_per_cost)}"
        )


def _table(title: str, rows: list[tuple[str, Comparison]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    several = rows[0][1].comparisons
    table = Table(box=None, pad_edge=False)
    table.add_column(title)
    for name in ("effect", "95 %", *([f"corrected for {several}"] if several > 1 else [])):
        table.add_column(name, justify="right")
    table.add_column("says")
    for name, one in rows:
        corrected = [_interval(one.corrected)] if several > 1 else []
        cells = [_number(one.effect.value), _interval(one.interval), *corrected, one.told]
        table.add_row(Text(name), *map(Text, cells))
    return table


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1 else f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - digits


def _interval(interval: tuple[float, float]) -> str:
    if not any(map(math.isfinite, interval)):
        return "not known"
    low, high = interval
    return f"[{_number(low)}, {_number(high)}]" if math.isfinite(high) else f"[{_number(low)}, no upper end]"


def _ratio(ratio: Ratio) -> str:
    value = "none" if ratio.value is None else _number(ratio.value)
    return f"{value} {'(any value is possible)' if ratio.interval is None else _interval(ratio.interval)}"
