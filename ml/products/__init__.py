"""
The score products, a file each: DAGs, training, scoring, checks and publishing loop over `PRODUCTS`.

A file of this folder that defines `PRODUCT` is a product. Nothing anywhere tests a product's name, so adding one is that file,
the contract of its scores and a dbt population. Standard library only: DAG files import this.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ml.products.declaration import Business, Product, Rule, Target, labels_of, outcomes_of

__all__ = ["PRODUCTS", "Business", "Product", "Rule", "Target", "labels_of", "outcomes_of", "product_named"]

PRODUCTS: tuple[Product, ...] = tuple(
    import_module(f"ml.products.{module.name}").PRODUCT
    for module in sorted(iter_modules(__path__), key=lambda module: module.name)
    if module.name not in {"columns", "declaration"}
)
"""In the order of their names."""


def product_named(name: str) -> Product:
    """Return the product, or raise a `KeyError`."""
    for product in PRODUCTS:
        if product.name == name:
            return product
    raise KeyError(name)
