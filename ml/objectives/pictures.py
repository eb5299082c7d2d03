"""Pictures of an evaluation, as SVG: the same numbers give the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.objectives import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from ml.objectives.declaration import Objective
    from ml.training.evaluation import Judged

INK, PALE = "#1f4e79", "#b0b0b0"
STYLE: Any = {"svg.hashsalt": "rekindle", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
POINTS = 200
"""Of a curve: more cannot be seen."""


def drawn(objective: Objective, judged: Judged) -> dict[str, str]:
    """Draw what an objective is looked at by, by file name."""
    return {name: _draw(draw, judged) for name, draw in objective.pictures.items()}


def roc(axes: Axes, judged: Judged) -> None:
    for score, colour, label in ((judged.naive, PALE, "naive rule"), (judged.raw, INK, "model")):
        # Ties are one step: a curve is only judged where a threshold can lie.
        order = np.argsort(-score, kind="stable")
        steps = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
        hits = np.cumsum(judged.outcome[order] > 0)[steps]
        false = steps + 1 - hits
        area = figures.auc(judged.outcome, score)
        axes.plot(
            *_thin(np.append(0, false / false[-1]), np.append(0, hits / hits[-1])),
            color=colour,
            label=f"{label}, AUC {area:.3f}",
        )
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.5)
    axes.set(title="ROC", xlabel="share of those who stay away", ylabel="share of those who return")
    axes.legend(frameon=False)


def gain(axes: Axes, judged: Judged) -> None:
    share = np.arange(1, len(judged.outcome) + 1) / len(judged.outcome)
    for score, colour, label in ((judged.naive, PALE, "naive rule"), (judged.raw, INK, "model")):
        axes.plot(*_thin(share, figures.gain_curve(judged.outcome, score)), color=colour, label=label)
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.5)
    axes.set(title="Gain", xlabel="share of users, best first", ylabel="share of the total they hold")
    axes.legend(frameon=False)


def calibration(axes: Axes, judged: Judged) -> None:
    means = figures.bin_means(judged.outcome, judged.prediction)
    top = float(means.max()) * 1.05
    axes.plot([0, top], [0, top], color=PALE, linewidth=0.5)
    axes.plot(means[:, 0], means[:, 1], "o-", color=INK)
    axes.set(title="Calibration, ten equal bins", xlabel="mean prediction", ylabel="mean outcome")


def deciles(axes: Axes, judged: Judged) -> None:
    means = figures.bin_means(judged.outcome, judged.prediction)[::-1]
    place = np.arange(len(means))
    axes.bar(place - 0.2, means[:, 0], 0.4, color=INK, label="predicted")
    axes.bar(place + 0.2, means[:, 1], 0.4, color=PALE, label="actual")
    axes.set(title="Mean amount by decile", xlabel="decile, 1 is best", xticks=place, xticklabels=place + 1)
    axes.legend(frameon=False)


def _draw(draw: Callable[[Axes, Judged], None], judged: Judged) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 4), layout="constrained")
        draw(figure.subplots(), judged)
        text = io.StringIO()
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(text, metadata={"Date": None})
    return text.getvalue()


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int))
    return x[kept], y[kept]
