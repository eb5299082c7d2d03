"""
The retrievers, a file each: a file of this folder that defines `RETRIEVER` is one.

How it learns and how it answers stand in its file and nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ml.recommendation.retrievers.declaration import NOTHING, Fitted, Lists, Retriever

__all__ = ["NOTHING", "RETRIEVERS", "Fitted", "Lists", "Retriever"]

_found = [import_module(f"ml.recommendation.retrievers.{module.name}") for module in iter_modules(__path__)]

RETRIEVERS: dict[str, Retriever] = {
    module.RETRIEVER.name: module.RETRIEVER for module in _found if hasattr(module, "RETRIEVER")
}
"""By name."""
