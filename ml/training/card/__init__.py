"""
A version's card: what it is for, what it decides by, how it treats groups, what it read, and how it differs from the champion.

After Mitchell et al., "Model Cards for Model Reporting", 2019. What scores is explained; groups are those of the test days, which
only the judged model had not seen. All of it on at most some thousand rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model.protected import Protected
from ml.objectives import OBJECTIVES
from ml.training.card import audit, effects, groups
from ml.training.fitting import MIN_ROWS
from rekindle.errors import RekindleError
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from ml.model.scorer import Scorer
    from ml.products import Product
    from ml.training.evaluation import Judged
    from ml.training.fitting import Fitted
    from ml.training.incumbent import Incumbent
    from ml.training.samples import Sample, Split
    from rekindle.days import Days
    from rekindle.settings import Settings

EXPLAINED_ROWS = 5_000
"""Of the test days: a mean contribution over so many moves by a hundredth of its spread."""

FIRST = (1_000, 5_000)
"""So many rows, best first, are compared with the champion's."""


@dataclass(frozen=True)
class Tested:
    """The rows that a version was judged on, of days that it had not seen, and what was said of them."""

    days: Days
    rows: pa.Table
    judged: Judged

    @classmethod
    def of(cls, sample: Sample, split: Split, fitted: Fitted) -> Tested:
        """Return the test rows of a training, of the longest horizon."""
        return cls(split.test, sample.judged(split.test), fitted.longest)


def card(
    product: Product,
    sample: Sample,
    tested: Tested,
    *,
    scorer: Scorer,
    champion: Incumbent | None,
    settings: Settings,
) -> dict[str, Any]:
    """Gather what is to be known of `scorer`, the model that would score."""
    rows, objective = tested.rows, OBJECTIVES[product.objective]
    named = Protected.of(settings)
    read = [source for source in _read(scorer) if named.holds(source)]
    learnt_until = champion.version.judged.last_label_day if champion and champion.version.gate else None
    step = max(1, -(-rows.num_rows // EXPLAINED_ROWS))
    explained = rows.take(np.arange(0, rows.num_rows, step))
    return {
        "product": product.name,
        "title": product.title,
        "day": sample.day.isoformat(),
        "use": list(product.use),
        "limits": [
            *product.limits,
            *sample.limits,
            *_seasons(sample, scorer),
            *_limits(tested.days),
        ],
        "moves": objective.moves,
        "counted_in": objective.counted_in.format(currency=settings.currency),
        "kept_out": list(sample.kept_out),
        "protected_inputs": read,
        "explained_rows": explained.num_rows,
        "test_days": str(tested.days),
        "test_rows": rows.num_rows,
        "effects": [{**one.to_json(), **_about(product, one.source)} for one in effects.of_features(scorer, explained)],
        "selected": groups.SELECTED,
        "groups": groups.of_rows(rows, tested.judged, (*sample.kept_out, *read)),
        "audit": audit.of_inputs(scorer, sample, tested.days, learnt_until),
        "champion": champion_beside(scorer, champion, rows),
    }


def champion_beside(scorer: Scorer, champion: Incumbent | None, rows: pa.Table) -> dict[str, Any]:
    """Say how many of the first rows a model shares with the champion as it stands, or why that is not known."""
    if champion is None:
        return {"why_not": "there was none"}
    if champion.stored is None:
        return {"why_not": f"version {champion.version.version} cannot be read. {champion.why_not}"}
    try:
        theirs = champion.stored.predict(rows).raw
    except RekindleError as error:
        return {"why_not": f"version {champion.version.version} cannot score these rows. {error.what}"}
    ours = scorer.predict(rows).raw
    return {"version": champion.version.version, "shared": [shared(ours, theirs, first) for first in FIRST]}


def shared(ours: np.ndarray, theirs: np.ndarray, first: int) -> dict[str, Any]:
    """Count the rows that both rank among the first; two that know nothing of each other share `by_chance` of them."""
    told: dict[str, Any] = {"first": first, "rows": len(ours)}
    if len(ours) <= first:
        return {**told, "insufficient_data": True}
    both = (set(np.argsort(-raw, kind="stable")[:first].tolist()) for raw in (ours, theirs))
    count = len(set.intersection(*both))
    return {**told, "insufficient_data": False, "share": count / first, "by_chance": first / len(ours)}


def _read(scorer: Scorer) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for encoder in scorer.encoders for source in encoder.columns))


def _about(product: Product, source: str) -> dict[str, str]:
    """What a feature is, by its contract; a key of a map speaks for itself."""
    column = source.partition(":")[0]
    for table in product.features:
        contract = contracts.load(table)
        if column in contract.names:
            found = contract.column(column)
            return {"is": "" if source != column else found.description.partition(";")[0].rstrip(".")}
    return {"is": ""}


def _seasons(sample: Sample, scorer: Scorer) -> Iterator[str]:
    """Say of each target that might whether its level follows the year."""
    for target, forecast in zip(sample.targets, scorer.forecasts, strict=True):
        if season := forecast.season:
            yield (
                f"The level of {target.label} follows the year: {season.coefficient:.2f} of what the same days of a year ago "
                f"were above or below their year is expected again, on days from {season.first} to {season.last}. On other days "
                "it knows no season."
            )
        elif target.total:
            yield f"The level of {target.label} does not follow the time of the year."


def _limits(days: Days) -> Iterator[str]:
    yield f"Judged on the days {days} alone: what has changed since then it has not seen."
    yield f"Of a group with less than {MIN_ROWS} rows nobody knows how it is treated."
    yield "Protected attributes are told by their names: another input may stand for one of them."
    yield "Not made to decide on credit, insurance, work, or the price that one person is offered."
