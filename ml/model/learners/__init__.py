"""
The learners that compete, a file each: a file of this folder that defines `LEARNER` is one, and a product names it.

How it is fitted and how what it has learnt scores stand in its file and nowhere else; a file may use another's.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, TypeVar

from ml.model.learners.declaration import Examples, Learner, Range
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml.model.encoder import Encoder
    from ml.model.learners.declaration import Hyper
    from ml.model.part import Predictor

K = TypeVar("K", bound="Predictor | Encoder")

__all__ = ["LEARNERS", "Examples", "Learner", "Range", "encoder_kind", "predictor_kind", "why_not_hyper"]

_found = [import_module(f"ml.model.learners.{module.name}") for module in iter_modules(__path__)]

LEARNERS: dict[str, Learner] = {module.LEARNER.name: module.LEARNER for module in _found if hasattr(module, "LEARNER")}
"""By name."""


def why_not_hyper(name: str, hyper: Hyper) -> str | None:
    """Say why a learner cannot be fitted with some hyper-parameters; None where it can."""
    if name not in LEARNERS:
        return f"no learner {name} is here"
    known = LEARNERS[name].hyper
    for one, value in hyper.items():
        if (its := known.get(one)) is None:
            return f"{name} has no hyper-parameter {one}, only {', '.join(known) or 'none at all'}"
        if not its.low <= value <= its.high:
            return f"{one} of {name} lies between {its.low:g} and {its.high:g}, not at {value:g}"
        if its.is_whole and value != int(value):
            return f"{one} of {name} is a whole number, not {value:g}"
    return None


def predictor_kind(name: str) -> type[Predictor]:
    """Return the class of a stored predictor. Raises InputError unless exactly one is here."""
    return _only(name, [kind for learner in LEARNERS.values() for kind in learner.predictors])


def encoder_kind(name: str) -> type[Encoder]:
    """Return the class of a stored encoder. Raises InputError unless exactly one is here."""
    return _only(name, [kind for learner in LEARNERS.values() for kind in learner.encoders])


def _only(name: str, kinds: Iterable[type[K]]) -> type[K]:
    found = {kind for kind in kinds if kind.kind == name}
    if len(found) == 1:
        return found.pop()
    why = "which several learners mean differently" if found else "of which no learner is here"
    raise InputError(
        f"The model has a part of the kind {name!r}, {why}.",
        todo="Let ml/model/learners hold one file of that kind, or promote a model of learners that are here.",
        safe="Nothing was scored; the last good scores stay.",
        code="unknown_learner",
    )
