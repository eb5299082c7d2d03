"""What a model read at its training: how much of each input was missing, and how far it has moved since the champion's days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model.encoder import doubles
from ml.training.card.effects import by_text, edges_of
from rekindle.watching.stability import stability

if TYPE_CHECKING:
    from datetime import date

    from ml.model.scorer import Scorer
    from ml.training.samples import Sample
    from rekindle.days import Days
    from rekindle.watching.stability import Stability

LOOKED_AT = 20_000
"""Rows on each side: of more, a share moves by less than its third digit."""

LEVELS = 20
"""Of a text, the most frequent; rarer ones are one."""


@dataclass(frozen=True)
class Sides:
    """Rows of two times that are compared, and what each is, for people."""

    before: pa.Table
    now: pa.Table
    says_before: str
    says_now: str


def of_inputs(scorer: Scorer, sample: Sample, tested: Days, learnt_until: date | None) -> dict[str, Any]:
    """
    Compare the inputs of a model that was judged on the days `tested`.

    `learnt_until` is the last day that the champion has learnt from, None without one.
    """
    sides = sides_of(sample, tested, learnt_until)
    sources = dict.fromkeys(source for encoder in scorer.encoders for source in encoder.columns)
    read = {source.partition(":")[0] for source in sources}
    return {
        "before": sides.says_before,
        "now": sides.says_now,
        "inputs": [_input(scorer, source, sides) for source in sources],
        "constant": [
            name for name in scorer.inputs if name not in read and name not in {"day", "user_id", "registered_on"}
        ],
    }


def sides_of(sample: Sample, tested: Days, learnt_until: date | None) -> Sides:
    """Cut a sample at what the champion has learnt; where nothing is newer, at this training's own test days."""
    days = sample.rows["day"]
    if learnt_until is not None:
        newer = pc.greater(days, pa.scalar(learnt_until, pa.date32()))
        before, now = sample.rows.filter(pc.invert(newer)), sample.rows.filter(newer)
        if before.num_rows and now.num_rows:
            until = f"days up to {learnt_until}, which the champion has learnt from"
            return Sides(_few(before), _few(now), until, "days since then")
    first = tested.first
    later = pc.greater_equal(days, pa.scalar(first, pa.date32()))
    return Sides(
        *(_few(sample.rows.filter(pc.invert(later))), _few(sample.rows.filter(later))),
        f"days before {first}",
        f"days from {first} on, the test days",
    )


def _few(rows: pa.Table) -> pa.Table:
    step = -(-rows.num_rows // LOOKED_AT) or 1
    return rows.take(np.arange(0, rows.num_rows, step)).combine_chunks()


def _input(scorer: Scorer, source: str, sides: Sides) -> dict[str, Any]:
    before, now = scorer.values(sides.before, source), scorer.values(sides.now, source)
    moved = drift(now, before)
    return {
        "source": source,
        "missing": now.null_count / max(len(now), 1),
        "missing_before": before.null_count / max(len(before), 1),
        "drift": moved.index,
        "limit": moved.limit,
        "verdict": moved.verdict,
    }


def drift(now: pa.Array | pa.ChunkedArray, before: pa.Array | pa.ChunkedArray) -> Stability:
    """Compare values by the parts, or the levels, of those before; what is missing is a part of its own."""
    if pa.types.is_string(now.type):
        both = pa.chunked_array([*_chunks(before), *_chunks(now)], pa.string())
        codes, _ = by_text(both, LEVELS)
        old, new = codes[: len(before)], codes[len(before) :]
    else:
        numbers, later = doubles(before), doubles(now)
        edges = edges_of(numbers[~np.isnan(numbers)])
        old, new = (np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="right")) for x in (numbers, later))
    size = max(int(codes.max(initial=0)) for codes in (old, new)) + 2
    counts = (np.bincount(codes.astype(int) + 1, minlength=size).tolist() for codes in (new, old))
    return stability(*counts)


def _chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]
