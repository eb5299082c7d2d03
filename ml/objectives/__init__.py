"""
Kinds of prediction, a file each: a file of this folder that defines `OBJECTIVE` is one, and a product names it.

Loss, calibration, selection, minimum numbers, figures and pictures of a kind stand in its file and nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ml.objectives.declaration import Figures, Objective

__all__ = ["OBJECTIVES", "Figures", "Objective"]

_found = [import_module(f"ml.objectives.{module.name}") for module in iter_modules(__path__)]

OBJECTIVES: dict[str, Objective] = {
    module.OBJECTIVE.name: module.OBJECTIVE for module in _found if hasattr(module, "OBJECTIVE")
}
"""By name."""
