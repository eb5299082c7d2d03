"""The page about a backtest: a pure function from what `rekindle backtest --json` says, and pictures, to one HTML text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from rekindle.report import charts, folder, words
from rekindle.report.gathering import sample_notes
from rekindle.report.page import Headline, css, template
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIGURES = words.FIGURES | {
    "average_precision": "average precision",
    "precision_texted": "precision of those texted",
    "recall_texted": "share of those who came that was texted",
    "f1_texted": "F1 of those texted",
    "accuracy_texted": "accuracy of texting them",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "ece_floor": "… of a perfect model",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "predicted_over_actual": "predicted / actual",
    "spearman": "Spearman correlation",
    "top_decile_share": "value held by the best tenth",
    "decile_mape": "decile error (MAPE)",
    "decile_mape_floor": "… of a perfect model",
    "decile_wape": "decile error, weighted",
    "decile_wape_floor": "… of a perfect model",
}
"""What figures are called beside those of the daily report; others by their names, with the share in percent."""

COLOURS = {"#1f4e79": "var(--value)", "#b0b0b0": "var(--before)", "#000000": "var(--soft)", "#ffffff": "none"}
"""Of the pictures, and what stands for them in the style sheet: a page is read in the dark, too."""

PICTURES = {
    "roc.svg": "ROC",
    "gain.svg": "Gain",
    "calibration.svg": "Calibration",
    "deciles.svg": "Deciles",
}


@dataclass(frozen=True)
class Row:
    """A figure in words: of model, rule and difference with intervals, of each contender the value."""

    name: str
    model: str
    rule: str
    difference: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The figures of a block, or the means over all."""

    title: str
    contenders: tuple[str, ...]
    rows: tuple[Row, ...]


def write(told: Mapping[str, Any], drawn: Mapping[str, str], path: Path | None = None) -> Path:
    """Write the page, whole or not at all, and return where it is: by default beside the daily reports."""
    path = path or settings().home / "reports" / f"backtest_{told['product']}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    folder.write(path, render(told, drawn, sample_notes()))
    return path


def render(told: Mapping[str, Any], drawn: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Make the page: equal figures give equal texts."""
    return template("backtest.html.j2").render(
        told=told,
        finding=finding(told),
        notes=notes,
        figure=figure_name(told["figure"]),
        differences=_differences(told),
        pictures={PICTURES.get(name, name): inlined(text, PICTURES.get(name, name)) for name, text in drawn.items()},
        mean=table("All blocks, mean", told["mean"], told["mean_differences"], told["mean_noise"]),
        blocks=[
            table(_title(block), block["contenders"], block["difference"], block["noise"]["model"])
            for block in told["blocks"]
        ],
        segments=_by_dimension(told["segments"]),
        figure_name=figure_name,
        value=value,
        interval=interval,
        words=words,
        css=css(),
    )


def finding(told: Mapping[str, Any]) -> Headline:
    """Say whether the model beats the naive rule: where the interval holds 0, nobody can tell."""
    mean, name = told["mean_difference"], figure_name(told["figure"])
    by = f"{name} {signed(mean['value'])} on average, 95 % interval {signed(mean['low'])} to {signed(mean['high'])}"
    better = f"better in {told['blocks_better']} of {len(told['blocks'])} blocks"
    if mean["low"] > 0:
        return Headline("passed", f"Better than the naive rule: {by}; {better}.")
    if mean["high"] < 0:
        return Headline("failed", f"Loses to the naive rule: {by}; {better}.")
    return Headline("open", f"Cannot be told from the naive rule: {by}; {better}.")


def table(title: str, found: Mapping[str, Any], difference: Mapping[str, Any], noise: Mapping[str, float]) -> Table:
    """Lay out figures; beside one that cannot be 0 stands what a perfect model would show."""
    others = tuple(name for name in found if name not in {"model", "to_beat"})
    rows = []
    for name in found["model"]:
        of = {contender: found[contender].get(name) for contender in found}
        values = tuple(value(of[other]) for other in others)
        whole = (with_interval(of["model"]), with_interval(of["to_beat"]), with_interval(difference.get(name), signed))
        rows.append(Row(figure_name(name), *whole, values))
        if (floor := f"{name}_floor") in noise:
            rows.append(Row(figure_name(floor), plain(noise[floor]), "", "", ("",) * len(others)))
    return Table(title, others, tuple(rows))


def figure_name(name: str) -> str:
    """Say what a figure is called: `lift_10` is the lift at 10 %."""
    at_share = re.fullmatch(r"([a-z]+)_(\d+)", name)
    return FIGURES.get(name) or (f"{at_share[1]} at {at_share[2]} %" if at_share else name.replace("_", " "))


def plain(number: float) -> str:
    """Write a number with three digits behind the point, and a true minus."""
    return f"{number:.3f}".replace("-", "\u2212")


def signed(number: float) -> str:
    return f"{number:+.3f}".replace("-", "\u2212")


def value(of: Mapping[str, float] | None) -> str:
    return "" if of is None else plain(of["value"])


def interval(of: Mapping[str, float] | None) -> str:
    return "" if of is None else f"{plain(of['low'])} to {plain(of['high'])}"


def with_interval(of: Mapping[str, float] | None, say: Any = plain) -> str:
    return "" if of is None else f"{say(of['value'])} ({say(of['low'])} to {say(of['high'])})"


def inlined(svg: str, name: str) -> Markup:
    """
    Let a picture of ours stand within a page: without what belongs to a file, in the page's colours, with a name.

    Its ids begin with the name, for two pictures would both call their axes the first ones.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    own = re.sub(r"\W+", "", name).lower()
    body = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{own}-", body)
    for colour, variable in COLOURS.items():
        body = body.replace(colour, variable)
    opened = rf'<svg class="chart" style="fill: var(--soft)" \1 role="img" aria-label="{name}">'
    body = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', opened, body, count=1)
    return Markup(body)  # noqa: S704 - drawn by ml.objectives.pictures, and named by this file


def _differences(told: Mapping[str, Any]) -> Markup:
    name = told["figure"]
    found = {_title(block): block["difference"][name] for block in told["blocks"]} | {"all": told["mean_difference"]}
    ends = {title: (d["value"], (d["low"], d["high"])) for title, d in found.items()}
    return charts.intervals(ends, f"{figure_name(name)}, model minus naive rule", signed)


def _title(block: Mapping[str, Any]) -> str:
    test = block["days"]["test"]
    return test[0] if len(test) == 1 else f"{test[0]} to {test[-1]}"


def _by_dimension(segments: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for segment in segments:
        found.setdefault(segment["says"], []).append(segment)
    return found
