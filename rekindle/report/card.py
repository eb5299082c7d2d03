"""
A version's card as a page: a pure function from what `ml.training.card` found to one HTML text.

It is written before the version has its number, so it is named by product and day; MLflow keeps it among the training's files.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from rekindle.report import charts, words
from rekindle.report.backtest import plain
from rekindle.report.page import Headline, css, template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

CARD = "card.html"
"""Among the files of a training's run."""

WIDE = (0.8, 1.25)
"""A ratio of predicted to actual that surely lies beyond is worth a look."""


def render(told: Mapping[str, Any], *, passed: bool, why: str) -> str:
    """Make the page: equal findings give equal texts."""
    span = _span(told["effects"])
    return template("card.html.j2").render(
        told=told,
        finding=Headline("passed", "The gate let it pass.") if passed else Headline("failed", "The gate refused it."),
        why=why,
        names=[name_of(source) for source in told["kept_out"]],
        charts={one["source"]: _chart(one, span, told["counted_in"]) for one in told["effects"]},
        bars={one["source"]: _bar(one, told["effects"]) for one in told["effects"]},
        others=1 - sum(one["share"] for one in told["effects"]),
        inputs=sorted(told["audit"]["inputs"], key=lambda one: -one["drift"]),
        moved=[one for one in told["audit"]["inputs"] if one["verdict"] == "moved"],
        is_off=is_off,
        name_of=name_of,
        sentence=sentence,
        mean=mean,
        plain=plain,
        words=words,
        css=css(),
    )


def name_of(source: str) -> str:
    """Say what a feature is called: `attributes:home_ownership` is home ownership."""
    column, _, key = source.partition(":")
    name = key or column
    return (f"{key} ({column})" if column.startswith("event") and key else name).replace("_", " ")


def sentence(text: str) -> list[tuple[bool, str]]:
    """Part a sentence at its backticks: what stands between two is code."""
    return [(place % 2 == 1, part) for place, part in enumerate(re.split("`", text)) if part]


def mean(value: float) -> str:
    """Write a mean outcome, be it a share or an amount, with no more digits than anybody reads."""
    return words.amount(value, 0) if abs(value) >= charts.WHOLE_FROM else f"{value:.3g}"


def is_off(group: Mapping[str, Any]) -> bool:
    """Whether what a group was promised surely did not come true."""
    ratio = group["predicted_over_actual"]
    return ratio["high"] < WIDE[0] or ratio["low"] > WIDE[1]


def _span(effects: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Find the lowest and the highest end of all effects: they are drawn to one scale."""
    spots = list(chain.from_iterable(_spots(one) for one in effects))
    return min([spot.low for spot in spots], default=0.0), max([spot.high for spot in spots], default=0.0)


def _spots(effect: Mapping[str, Any]) -> list[charts.Spot]:
    missing = [effect["missing"]] if effect["missing"] else []
    return [charts.Spot(p["value"], p["mean"], p["low"], p["high"]) for p in [*effect["points"], *missing]]


def _say(span: tuple[float, float]) -> Any:
    """Write contributions with as many digits as their size needs."""
    is_small = max(abs(span[0]), abs(span[1])) < 10  # noqa: PLR2004 - log-odds, not money
    return (lambda value: f"{value:+.2f}".replace("-", "\u2212")) if is_small else _whole


def _whole(value: float) -> str:
    return f"{value:+,.0f}".replace("-", "\u2212")


def _chart(effect: Mapping[str, Any], span: tuple[float, float], counted_in: str) -> Markup:
    spots, say = _spots(effect), _say(span)
    name = f"What {name_of(effect['source'])} adds, in {counted_in}"
    if effect["is_text"]:
        named = {f"{spot.name}  {say(spot.mean)}": (spot.mean, (spot.low, spot.high)) for spot in spots}
        return charts.intervals(named, name, say)
    missing = spots.pop() if effect["missing"] else None
    return charts.effect(spots, missing, span, name, say)


def _bar(effect: Mapping[str, Any], effects: Sequence[Mapping[str, Any]]) -> Markup:
    longest = max(one["share"] for one in effects)
    return charts.bar(effect["share"], longest, f"{name_of(effect['source'])}: {words.percent(effect['share'])}")
