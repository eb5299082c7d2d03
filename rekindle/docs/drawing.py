"""
A graph drawn in rows, each node below all that it reads, as one SVG.

Rows are known (the longest way from a source), so of the usual three steps of such drawings two are left: an order within
each row with few crossings, and places that keep edges straight. An edge over several rows goes through a place of its own
in each, so that it runs beside the nodes there and not behind them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NODE_WIDTH, NODE_HEIGHT = 148.0, 38.0
ROW_HEIGHT = 84.0
GAP = 14.0
EDGE_WIDTH = 10.0
"""The place that an edge takes in a row that it passes."""
MARGIN = 4.0
SWEEPS = 12
"""More of them move nothing in graphs of some dozen nodes."""


@dataclass
class _Place:
    """A node, or where an edge passes a row; `x` is its middle."""

    name: str
    row: int
    width: float
    x: float = 0.0
    above: list[_Place] = field(default_factory=list)
    below: list[_Place] = field(default_factory=list)


def draw(reads: Mapping[str, Sequence[str]], classes: Mapping[str, str], says: str) -> Markup:
    """
    Draw each node with an arrow from each that it reads; a node links to the anchor of its name.

    `reads` is in such an order that each comes after what it reads; a name's part up to the first point stands above the rest.
    """
    rows, ways = _placed(reads)
    nodes = [place for row in rows for place in row if place.name in reads]
    width = max(place.x + place.width / 2 for row in rows for place in row) + MARGIN
    height = len(rows) * ROW_HEIGHT - (ROW_HEIGHT - NODE_HEIGHT) + 2 * MARGIN
    edges = [_edge(read, reader, way) for (read, reader), way in ways.items()]
    boxes = [_node(place, classes[place.name]) for place in nodes]
    shape = Markup(
        '<svg class="lineage" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}" role="group" aria-label="{2}">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>{3}{4}</svg>'
    )
    return shape.format(width, height, says, Markup("").join(edges), Markup("").join(boxes))


def _placed(reads: Mapping[str, Sequence[str]]) -> tuple[list[list[_Place]], dict[tuple[str, str], list[_Place]]]:
    """The rows of places from left to right, and of each edge the places that it goes through, both ends included."""
    row_of: dict[str, int] = {}
    for name, read in reads.items():
        row_of[name] = 1 + max((row_of[one] for one in read), default=-1)
    places = {name: _Place(name, row, NODE_WIDTH) for name, row in row_of.items()}
    rows = [[place for place in places.values() if place.row == row] for row in range(1 + max(row_of.values()))]
    ways = {(one, reader): _way(places[one], places[reader]) for reader, read in reads.items() for one in read}
    for way in ways.values():
        for place in way[1:-1]:
            rows[place.row].append(place)
    _order(rows)
    _straighten(rows)
    left = min(place.x - place.width / 2 for row in rows for place in row)
    for place in (place for row in rows for place in row):
        place.x += MARGIN - left
    return rows, ways


def _way(upper: _Place, lower: _Place) -> list[_Place]:
    """The places that an edge goes through, one a row."""
    way = [upper, *(_Place("", row, EDGE_WIDTH) for row in range(upper.row + 1, lower.row)), lower]
    for before, after in pairwise(way):
        before.below.append(after)
        after.above.append(before)
    return way


def _order(rows: Sequence[list[_Place]]) -> None:
    """Put each row into the order of what its places are tied to, downwards and upwards in turn: few edges cross then."""
    for row in rows:
        _spread(row, [float(index) for index in range(len(row))])
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            wanted = [fmean(one.x for one in (p.above if downwards else p.below) or [p]) for p in row]
            ordered = sorted(zip(wanted, range(len(row)), row, strict=True), key=itemgetter(0, 1))
            row[:] = [place for _, _, place in ordered]
            _spread(row, [x for x, _, _ in ordered])


def _straighten(rows: Sequence[list[_Place]]) -> None:
    """Draw each place towards all that it is tied to, in the order that stands."""
    for row in SWEEPS // 2 * [*rows, *reversed(rows)]:
        _spread(row, [fmean(one.x for one in (*place.above, *place.below, place)) for place in row])


def _spread(row: Sequence[_Place], wanted: Sequence[float]) -> None:
    """
    Put places as near as possible to where they want to be, in their order and without touching.

    Less the room that those to its left take, that is a rising sequence of least squares: neighbours that would touch are put
    together in one block, at the mean of what they want.
    """
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP)
    blocks: list[list[float]] = []
    for one, offset in zip(wanted, offsets, strict=True):
        blocks.append([one - offset])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    starts = [fmean(block) for block in blocks for _ in block]
    for place, start, offset in zip(row, starts, offsets, strict=True):
        place.x = start + offset


def _top(place: _Place) -> float:
    return MARGIN + place.row * ROW_HEIGHT


def _edge(read: str, reader: str, way: Sequence[_Place]) -> Markup:
    """A curve that leaves a node at its lower edge, and goes straight down where it passes a row."""
    first, last = way[0], way[-1]
    steps = [f"M{first.x:.1f} {_top(first) + NODE_HEIGHT:.1f}"]
    for before, after in itertools.pairwise(way):
        low, high = _top(before) + NODE_HEIGHT, _top(after) - (2 if after is last else 0)
        middle = (low + high) / 2
        steps.append(f"C{before.x:.1f} {middle:.1f} {after.x:.1f} {middle:.1f} {after.x:.1f} {high:.1f}")
        if after is not last:
            steps.append(f"V{_top(after) + NODE_HEIGHT:.1f}")
    shape = Markup('<path class="edge" d="{}" marker-end="url(#arrow)"><title>{}</title></path>')
    return shape.format(" ".join(steps), f"{reader} reads {read}")


def _node(place: _Place, layer: str) -> Markup:
    schema, _, name = place.name.partition(".")
    shape = Markup(
        '<a href="#{0}" class="{1}"><rect x="{2:.1f}" y="{3:.1f}" width="{4:.0f}" height="{5:.0f}" rx="3"/>'
        '<text x="{6:.1f}" y="{7:.1f}"><tspan class="schema">{8}</tspan>'
        '<tspan x="{6:.1f}" dy="15">{9}</tspan></text></a>'
    )
    left, top = place.x - NODE_WIDTH / 2, _top(place)
    return shape.format(place.name, layer, left, top, NODE_WIDTH, NODE_HEIGHT, left + 8, top + 14, schema, name)
