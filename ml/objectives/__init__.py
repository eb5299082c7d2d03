"""
Kinds of prediction, a file each: a file of this folder that defines `OBJECTIVE` is one, and a product names it.

Unit, loss, calibration, selection, minimum numbers, figures and pictures of a kind stand in its file and nowhere else. Numpy at
the top of a file, and what is heavier within functions: the workers import it to find a model's calibration.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from ml.objectives.declaration import Figures, Objective
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.model.calibration import Calibration

__all__ = ["OBJECTIVES", "Figures", "Objective", "calibration_of"]

_found = [import_module(f"ml.objectives.{module.name}") for module in iter_modules(__path__)]

OBJECTIVES: dict[str, Objective] = {
    module.OBJECTIVE.name: module.OBJECTIVE for module in _found if hasattr(module, "OBJECTIVE")
}
"""By name."""


def calibration_of(plain: Mapping[str, Any]) -> Calibration:
    """Make a stored calibration again. Raises InputError where no objective has its kind."""
    kinds = {objective.calibration.kind: objective.calibration for objective in OBJECTIVES.values()}
    if plain["kind"] not in kinds:
        raise InputError(
            f"The model has a calibration of the kind {plain['kind']!r}, of which no objective is here.",
            todo="Put its file back into ml/objectives, or promote a model of objectives that are here.",
            safe="Nothing was scored; the last good scores stay.",
            code="unknown_objective",
        )
    return kinds[plain["kind"]](**{name: value for name, value in plain.items() if name != "kind"})
