"""Models against the best naive rule and against recipes of others, over rolling dated blocks of eight businesses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from quality.businesses import built, page
from quality.businesses.contest import Contest, contest
from quality.businesses.declared import BUSINESSES, PRODUCTS
from quality.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quality.businesses.declared import Business

WORSE_THAN_OTHERS = {"recall": -0.01, "ltv": -0.02}
"""How far below the chosen recipe of others the lower end of the interval may lie: AUC, Gini."""

RARE = 0.15
"""Below this base rate the level is judged by its ratio and slope, too: there an ECE of .02 is a large part of a chance."""

ECE, ABOVE_FLOOR = 0.02, 0.01

THIN = "thin"

LEVELLED = "completejourney"
"""Where the level of LTV is asked for; elsewhere it is shown."""


def figures(_size: float = 1.0, businesses: tuple[Business, ...] = BUSINESSES) -> Iterator[Figure]:
    """Let all contend for each business while the next one is built, tell what came of it, and write the page."""
    contests: list[Contest] = []
    left_out: list[str] = []
    # Spark builds while models learn in this process.
    pool = ThreadPoolExecutor(1)
    try:
        begun = {one.name: pool.submit(built.build, one) for one in businesses if not one.why_not()}
        for done, business in enumerate(businesses, start=1):
            building = begun.get(business.name)
            if why := building.exception() if building else business.why_not():
                left_out.append(f"{business.name}: {why}")
                # Data that are not at hand are no failure; what cannot be built is.
                yield Figure(f"not judged: {left_out[-1]}", 1, at_most=0 if building else None, digits=0)
            else:
                yield from _judged(business, contests, left_out)
            if businesses == BUSINESSES:
                # After each: of a run that is broken off it says how far it came.
                to_come = [f"{one.name}: the run had not come to it" for one in businesses[done:]]
                page.write(contests, [*left_out, *to_come])
    finally:
        pool.shutdown(cancel_futures=True)


def _judged(business: Business, contests: list[Contest], left_out: list[str]) -> Iterator[Figure]:
    """Let all contend for the products of a business; each is one more contest, or left out."""
    for product in PRODUCTS:
        found = contest(business, product)
        if isinstance(found, str):
            left_out.append(f"{business.name}, {product}: {found}")
            # A business that is too thin to be judged is no failure; another is.
            yield Figure(f"not judged: {left_out[-1]}", 1, at_most=1 if business.name == THIN else 0, digits=0)
            continue
        contests.append(found)
        yield from told(found)


def told(found: Contest) -> Iterator[Figure]:
    """Hold a contest against what is asked for."""
    name = f"{found.business.name}, {found.product}:"
    by, model = found.told["figure"], found.told["mean"]["model"]
    difference = found.told["mean_difference"]
    yield Figure(f"{name} {by}", model[by]["value"])
    yield Figure(f"{name} {by} minus that of the best naive rule", difference["value"])
    yield Figure(f"{name} {by} minus that of the best naive rule, lower end", difference["low"], at_least=0.0)
    if found.beside:
        yield Figure(f"{name} {by} minus that of the others' recipe", found.beside.difference.value)
        lowest = WORSE_THAN_OTHERS[found.product]
        yield Figure(f"{name} {by} minus that of the others' recipe, lower end", found.beside.difference.low, lowest)
        yield Figure(f"{name} rows that only one of both has", found.beside.unmatched, at_most=0, digits=0)
    elif found.others_failed:
        yield Figure(f"{name} others' scripts that failed: {found.others_failed}", 1, at_most=0, digits=0)
    yield from _level(found, name)


def _level(found: Contest, name: str) -> Iterator[Figure]:
    """Whether predictions are right on average."""
    noise = found.told["mean_noise"]
    of = {figure: values["value"] for figure, values in found.told["mean"]["model"].items()}
    if found.product == "recall":
        allowed = max(ECE, noise["ece_floor"] + ABOVE_FLOOR)
        yield Figure(f"{name} expected calibration error", of["ece"], at_most=allowed)
        rare = found.base_rate < RARE
        yield Figure(f"{name} foretold over actual", of["predicted_over_actual"], *((0.8, 1.25) if rare else ()))
        yield Figure(f"{name} slope of calibration", of["calibration_slope"], *((0.8, 1.2) if rare else ()))
        return
    asked = found.business.name == LEVELLED
    yield Figure(f"{name} foretold over actual", of["predicted_over_actual"], *((0.9, 1.1) if asked else ()))
    yield Figure(f"{name} decile MAPE", of["decile_mape"], at_most=0.1 if asked else None)
