"""
The learners that compete, a file each: a file of this folder that defines `LEARNER` is one, and a product names it.

How it is fitted and how what it has learnt scores stand in its file and nowhere else; a file may use another's.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, NoReturn

from ml.model.learners.declaration import Examples, Learner
from rekindle.errors import InputError

if TYPE_CHECKING:
    from ml.model.encoder import Encoder
    from ml.model.part import Predictor

__all__ = ["LEARNERS", "Examples", "Learner", "encoder_kind", "predictor_kind"]

_found = [import_module(f"ml.model.learners.{module.name}") for module in iter_modules(__path__)]

LEARNERS: dict[str, Learner] = {module.LEARNER.name: module.LEARNER for module in _found if hasattr(module, "LEARNER")}
"""By name."""


def predictor_kind(name: str) -> type[Predictor]:
    """Return the class of a stored predictor, or raise an InputError."""
    kinds = {kind.kind: kind for learner in LEARNERS.values() for kind in learner.predictors}
    return kinds.get(name) or _unknown(name)


def encoder_kind(name: str) -> type[Encoder]:
    """Return the class of a stored encoder, or raise an InputError."""
    kinds = {kind.kind: kind for learner in LEARNERS.values() for kind in learner.encoders}
    return kinds.get(name) or _unknown(name)


def _unknown(name: str) -> NoReturn:
    raise InputError(
        f"The model has a part of the kind {name!r}, of which no learner is here.",
        todo="Put its file back into ml/model/learners, or promote a model of learners that are here.",
        safe="Nothing was scored; the last good scores stay.",
        code="unknown_learner",
    )
