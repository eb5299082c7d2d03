"""
The score products, a file each: DAGs, training, scoring, checks and publishing loop over `PRODUCTS`.

A file of this folder that defines `PRODUCT` is a product. Nothing anywhere tests a product's name, so adding one is that file,
the contract of its scores and a dbt population. Standard library only: DAG files import this.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from ml.products.declaration import Business, Product, Registered, Rule, Target, labels_of, outcomes_of
from ml.products.recommendation import RECOMMENDATION, Recommendation

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PRODUCTS",
    "RECOMMENDATION",
    "REGISTERED",
    "Business",
    "Product",
    "Recommendation",
    "Registered",
    "Rule",
    "Target",
    "filled_by",
    "labels_of",
    "makers",
    "outcomes_of",
    "product_named",
]

_found = [
    import_module(f"ml.products.{module.name}") for module in sorted(iter_modules(__path__), key=lambda m: m.name)
]

PRODUCTS: tuple[Product, ...] = tuple(module.PRODUCT for module in _found if hasattr(module, "PRODUCT"))
"""In the order of their names."""


def product_named(name: str) -> Product:
    """Return the product, or raise a `KeyError`."""
    for product in PRODUCTS:
        if product.name == name:
            return product
    raise KeyError(name)


REGISTERED: tuple[Registered, ...] = (*(product for product in PRODUCTS if product.is_trained), RECOMMENDATION)
"""All that a model is trained of."""


def makers(products: Iterable[Product] = PRODUCTS) -> dict[str, str]:
    """Name what writes each table that a model makes: a product its scores, and one learning all recommendations."""
    return {table: one.name for table, one in filled_by(products).items()}


def filled_by(products: Iterable[Product] = PRODUCTS) -> dict[str, Registered]:
    """Say of each table that a model fills, or the columns of a product, which of `products` or of recommendations that is."""
    declared: tuple[Registered, ...] = (*products, RECOMMENDATION)
    return {table: one for one in declared for table in one.tables}
