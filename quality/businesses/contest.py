"""What a product's model is worth in a business: over rolling, dated blocks, beside naive rules and the recipes of others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ml.products import product_named
from ml.training import backtest as testing
from ml.training import samples
from ml.training.tuned import DECLARED
from quality.businesses import built, others, searches
from rekindle.errors import CheckFailedError
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.training.samples import Sample
    from ml.training.tuned import Tuned
    from quality.businesses.declared import Business
    from quality.businesses.others import Beside

DRAWS = 200
"""Of users, for an interval."""


@dataclass(frozen=True)
class Contest:
    """A product in a business."""

    business: Business
    product: str
    told: Mapping[str, Any]
    """The backtest, as `rekindle backtest --json` tells it."""
    beside: Beside | None
    """None where nobody else's recipes are at hand, or found anything to learn from."""
    others_failed: str | None = None
    """What their script said where it failed."""
    tuned: Tuned | None = None
    """What a search before all blocks has found; None where there were too few days for one."""

    @property
    def base_rate(self) -> float:
        blocks = self.told["blocks"]
        return float(sum(one["rate"] * one["rows"] for one in blocks) / sum(one["rows"] for one in blocks))

    @property
    def rows(self) -> int:
        return int(sum(one["rows"] for one in self.told["blocks"]))


def contest(business: Business, product_name: str) -> Contest | str:
    """Judge a product's contenders in a business that is built, or say why there is nothing to judge."""
    sample = built.sample_of(business, product_name)
    if sample is None:
        return "its history is too short for a sample"
    try:
        return _both(business, sample)
    except CheckFailedError as error:
        return error.what


def _both(business: Business, sample: Sample) -> Contest:
    """Let both learn at the same time: ours in this process, theirs in another."""
    product, (target, *_) = product_named(sample.product), sample.targets
    first = testing.of_first_target(sample)
    days = samples.blocks(first, settings(), testing.BLOCKS, first=None, last=None)
    with ThreadPoolExecutor(1) as pool:
        asked = [
            pool.submit(others.foretold, business, product.name, target.to_day, some)
            for some in (days if others.SCRIPT.exists() else [])
        ]
        tuned = searches.of(business, product, first, days)
        found = testing.backtest(product, sample, settings(), rounds=DRAWS, tuned=tuned or DECLARED)
        judged = Contest(business, product.name, found.to_json(), None, tuned=tuned)
        if not asked:
            return judged
        try:
            by_days = {tuple(some): one.result() for some, one in zip(days, asked, strict=True)}
        except others.FailedError as error:
            return replace(judged, others_failed=str(error))
    theirs = [others.of_drawn(by_days[tuple(block.split.test)], sample) for block in found.blocks]
    return replace(judged, beside=others.beside(found, theirs))
