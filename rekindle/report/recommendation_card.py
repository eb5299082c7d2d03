"""The card of a version that recommends, as a page: what it chose, how good it was on days it had not seen, and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rekindle.report.page import Headline, css, template

if TYPE_CHECKING:
    from collections.abc import Mapping

FIGURES = {
    "ndcg_10": "nDCG@10",
    "recall_100": "Recall@100",
    "coverage_10": "coverage of the first 10",
    "novelty_10": "novelty, bits",
}


def render(told: Mapping[str, Any], *, passed: bool) -> str:
    """Make the page: equal findings give equal texts."""
    finding = (
        Headline("passed", "What was learnt won.") if passed else Headline("failed", "What was learnt did not win.")
    )
    return template("recommendation_card.html.j2").render(
        told=told, finding=finding, named=FIGURES, figure=figure, css=css()
    )


def figure(found: Mapping[str, float] | None) -> str:
    """Say a figure with its interval."""
    return "" if found is None else f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
