"""
The promotion page: a version's description in MLflow, for whoever decides whether it should score.

Verdict first, then the figures beside naive rule and champion, the pictures, what to do, and the data. Markdown; a link that
begins with `#` is a place in MLflow's own pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rekindle.report.card import CARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ml.products import Registered
    from ml.registry.trained import Trained

FILE = "page.md"
"""The whole page, among the files of the training's run."""

MAX_CHARACTERS = 5000
"""Of a description in MLflow's database."""

COLUMNS = {"model": "this version", "naive": "naive rule", "difference": "difference"}
SNAPSHOTS = "snapshot."


@dataclass(frozen=True)
class Place:
    """Where a version stands in MLflow."""

    product: Registered
    number: str
    experiment_id: str
    run_id: str

    def link(self, title: str, file: str = "") -> str:
        """Link a file of the training's run."""
        return f"[{title}](#/experiments/{self.experiment_id}/runs/{self.run_id}/artifacts{file and f'/{file}'})"


def whole(trained: Trained, place: Place) -> str:
    """Write all that was found out about a version."""
    horizons = [_horizon(horizon, told) for horizon, told in reversed(list(trained.figures.items()))]
    return _page(trained, place, trained.verdict.why, horizons, trained.params)


def description(trained: Trained, place: Place) -> str:
    """Write what MLflow's database has room for: the horizon that the gate reads, and links to the rest."""
    told = whole(trained, place)
    if len(told) <= MAX_CHARACTERS:
        return told
    horizons = [_horizon(horizon, told) for horizon, told in list(trained.figures.items())[-1:]]
    params = {name: value for name, value in trained.params.items() if not name.startswith(SNAPSHOTS)}
    told = _page(trained, place, trained.verdict.why, horizons, params)
    room = len(trained.verdict.why) - max(0, len(told) - MAX_CHARACTERS) - 1
    if len(told) > MAX_CHARACTERS and room > 0:
        told = _page(trained, place, f"{trained.verdict.why[:room]}…", horizons, params)
    return told[:MAX_CHARACTERS]


def _page(trained: Trained, place: Place, why: str, horizons: Iterable[str], params: Mapping[str, str]) -> str:
    parts = (
        f"## {_title(trained)}",
        f"**Why**: {why}.",
        *([trained.learnt] if trained.learnt else []),
        "### Figures",
        *horizons,
        *_beside_champion(trained.champion),
        "### Pictures",
        _pictures(trained, place),
        "### What to do",
        _what_to_do(trained, place),
        "### How to go back",
        f"`rekindle rollback {place.product.name}`: the champion before scores again, for all days since this one took effect.",
        "### Data and days",
        _table(("what", "value"), params.items()),
    )
    return "\n\n".join(parts)


def _title(trained: Trained) -> str:
    if not trained.verdict.passed:
        return "The gate refused this version"
    if trained.verdict.is_rule:
        return "The gate refused the model; this is the naive rule, calibrated, in its place"
    return "The gate let this version pass"


def _horizon(horizon: str, told: Mapping[str, Any]) -> str:
    """Lay out the figures of a horizon, each with its interval."""
    shown = {part: title for part, title in COLUMNS.items() if told[part]}
    names = dict.fromkeys(name for part in shown for name in told[part])
    rows = [(_named(name), *(_figure(told[part].get(name)) for part in shown)) for name in names]
    about = f"Of {told['rows']:,} test rows of {told['users']:,} users, mean outcome {told['rate']:.3f}"
    table = _table(("figure", *shown.values()), rows)
    return f"#### Days {horizon.replace('_', ' to ')} after a day\n\n{about}; in brackets 95 % intervals.\n\n{table}"


def _beside_champion(beside: Mapping[str, Any]) -> Iterator[str]:
    """Lay out the champion's figures on the same rows, or say why there are none."""
    if "why_not" in beside:
        yield f"#### Beside the champion\n\nNothing to compare with: {beside['why_not']}."
        return
    rows = [
        (_named(name), _figure(beside["this"].get(name)), _figure(figure), _figure(beside["difference"].get(name)))
        for name, figure in beside["champion"].items()
    ]
    its = f"version {beside['version']}"
    about = beside.get("about") or (
        f"That is the recipe of {its}, which was trained as of {beside['trained_day']}, fitted on the same training days and "
        "judged on the same rows."
    )
    yield f"#### Beside the champion\n\n{about}"
    yield _table(("figure", "this version", its, "difference"), rows)


def _named(name: str) -> str:
    return "predicted / actual" if name == "predicted_over_actual" else name.replace("_", " ")


def _figure(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _pictures(trained: Trained, place: Place) -> str:
    pictures = sorted(name for name in trained.documents if name.startswith("pictures/"))
    links = [place.link(name.removeprefix("pictures/").removesuffix(".svg"), name) for name in pictures]
    links += (
        [place.link("card: what it decides by, for whom, and its limits", CARD)] if CARD in trained.documents else []
    )
    return " · ".join([*links, place.link("this page, whole", FILE), place.link("all files of the training")])


def _what_to_do(trained: Trained, place: Place) -> str:
    if not trained.verdict.passed:
        return "Nothing. It is kept to be looked at; it can neither be promoted nor score."
    return (
        "With `promotion: auto` it became champion as soon as it was trained, unless the champion was trained on a later day or "
        "cannot be read; with `promotion: manual` it waits for you: `rekindle models` says. By hand: "
        f"`rekindle promote {place.product.name} {place.number}`, or here *Promote model*, above, to "
        f"`{place.product.champion_name}`, and there the alias `champion` for the new version, which has this page too. The next "
        "daily run scores with it.\n\n"
        "An alias on this model does nothing: who may train may set it. Tags are for people: scoring reads the verdict in "
        "Postgres (`rekindle.gates`)."
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out a table. MLflow's style gives cells no room, so each brings two blanks that are not broken."""
    lines = [_cells(head), _cells(("---",) * len(head), ""), *map(_cells, rows)]
    return "\n".join(lines)


def _cells(cells: Iterable[str], room: str = "\u00a0\u00a0") -> str:
    return f"| {' | '.join(cell.replace('|', '/') + room for cell in cells)} |"
