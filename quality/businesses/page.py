"""docs/quality.md: what the models are worth in each business, as one table for each product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.products import product_named
from quality.businesses.contest import DRAWS
from quality.businesses.declared import PRODUCTS
from quality.businesses.searches import TRIALS
from quality.commit import commit
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml.training.tuned import Tuned
    from quality.businesses.contest import Contest

PATH = PROJECT / "docs" / "quality.md"

RANKS = {"auc": "AUC", "gini": "normalised Gini"}

RATIO = "foretold / actual"

HEAD = """# What the models are worth

`make quality` has written this page, on the code of {state}. Figures are means over up to five rolling blocks of test days, for
each of which all is fitted on what was known before it; in brackets 95 % intervals by {draws} draws of users, paired. *Model* is
what the validation days of each block choose among the candidates, *naive* what they choose among the rules, *others* the recipe
that a script which shares no code with ours chooses on its own validation days, on the same rows. A difference whose interval
lies above 0 is **bold**; one below 0 is *lost*. Hyper-parameters are those of one search of {trials} trials before the first
block, where it found some that are better on later days than the declared ones, and the same in all blocks.

{businesses}
"""


def write(contests: Sequence[Contest], left_out: Sequence[str]) -> None:
    """Write the page."""
    PATH.write_text(text(contests, left_out, commit()), encoding="utf-8")


def text(contests: Sequence[Contest], left_out: Sequence[str], state: str) -> str:
    seen = {one.business.name: one.business for one in contests}
    businesses = "\n".join(f"* **{name}**: {business.about}." for name, business in seen.items())
    parts = [HEAD.format(state=state, draws=DRAWS, trials=TRIALS, businesses=businesses)]
    for product in PRODUCTS:
        some = [one for one in contests if one.product == product]
        if some:
            parts.append("\n".join((*_table(product, some), "", *_contenders(some))))
    if left_out:
        parts.append("\n".join(("## Not judged\n", *(f"* {line}" for line in left_out))))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _table(product: str, contests: Sequence[Contest]) -> Iterator[str]:
    rank = RANKS[contests[0].told["figure"]]
    horizon = contests[0].told["horizon_days"]
    level = {"recall": ("ECE (floor)", "slope"), "ltv": ("decile MAPE (floor)",)}[product]
    rate = {"recall": "base rate", "ltv": "mean"}[product]
    yield f"## {product_named(product).title}, within {horizon} days: {rank}\n"
    heads = (
        "business",
        "rows, blocks",
        rate,
        "model",
        "naive",
        "model minus naive",
        "model minus others",
        *level,
        "foretold / actual",
    )
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    yield from (_row(one) for one in contests)


def _row(one: Contest) -> str:
    told, by = one.told, one.told["figure"]
    mean = told["mean"]
    model, naive = (mean[name][by]["value"] for name in ("model", "to_beat"))
    beside = _difference(vars(one.beside.difference)) if one.beside else "-"
    blocks = len(told["blocks"])
    cells = [one.business.name, f"{one.rows:,}, {blocks}", f"{one.base_rate:.3g}", f"{model:.3f}", f"{naive:.3f}"]
    cells += [_difference(told["mean_difference"]), beside, *_level(one.product, mean["model"], told["mean_noise"])]
    return f"| {' | '.join(cells)} |"


def _level(product: str, model: Mapping[str, Any], noise: Mapping[str, float]) -> Iterator[str]:
    if product == "recall":
        yield f"{model['ece']['value']:.3f} ({noise['ece_floor']:.3f})"
        yield _with_interval(model["calibration_slope"])
    else:
        yield f"{model['decile_mape']['value']:.3f} ({noise['decile_mape_floor']:.3f})"
    yield _with_interval(model["predicted_over_actual"])


def _contenders(contests: Sequence[Contest]) -> Iterator[str]:
    """Yield how each contender ranks: candidates, rules and the others' recipes."""
    yield "Each contender, by how it ranks; rules are ours, and so is what stands before them:\n"
    for one in contests:
        by, mean = one.told["figure"], one.told["mean"]
        of = {name: f[by]["value"] for name, f in mean.items() if by in f and name not in {"model", "to_beat"}}
        of |= {f"others' {name}": value for name, value in (one.beside.by_recipe if one.beside else {}).items()}
        chosen = ", ".join(dict.fromkeys(block["model"] for block in one.told["blocks"]))
        ranked = ", ".join(f"{name} {value:.3f}" for name, value in of.items())
        yield f"* {one.business.name}: {ranked}; chosen: {chosen}; {_searched(one.tuned)}"


def _searched(tuned: Tuned | None) -> str:
    """Say what a search came to."""
    if tuned is None:
        return "no search: too few days before the first block"
    kept = [
        f"{name} with {', '.join(f'{one} {value:g}' for one, value in hyper.items())}"
        for name, hyper in tuned.by_learner.items()
    ]
    return f"found: {'; '.join(kept)}" if kept else "a search has found nothing better than what is declared"


def _difference(figure: Mapping[str, float]) -> str:
    shown = f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
    return f"**{shown}**" if figure["low"] > 0 else f"*{shown}, lost*" if figure["high"] < 0 else shown


def _with_interval(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"
