"""
One search of hyper-parameters for a product of a business, before the first of its blocks of test days, for all of them.

Kept beside the business' rows, under a digest of the code that fits and of the libraries that it fits with.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING

from ml.training import samples, tuned
from ml.training import search as searching
from quality.businesses import built, digest
from rekindle.errors import CheckFailedError
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from ml.products import Product
    from ml.training.samples import Sample
    from ml.training.tuned import Tuned
    from quality.businesses.declared import Business

TRIALS = 20
"""About twenty seconds of a core for each product with 100,000 rows."""

FITTED_BY = ("ml/model", "ml/objectives", "ml/training", "quality/businesses/searches.py")
LIBRARIES = ("lightgbm", "numpy", "optuna", "scikit-learn")


def of(business: Business, product: Product, sample: Sample, blocks: Sequence[Sequence[date]]) -> Tuned | None:
    """Return what a search on the days before the blocks has found; None where these are too few for one."""
    folder = _folder(business)
    if not (folder / f"{product.name}.yml").exists():
        try:
            split = samples.split_before(sample, blocks[0], settings())
            found = searching.search(product, sample, split, TRIALS)
        except CheckFailedError as error:
            if error.code != "not_enough_history":
                raise
            return None
        tuned.write(product, found.found, folder / f"{product.name}.yml")
    return tuned.of_product(product, folder)


def _folder(business: Business) -> Path:
    sha = hashlib.sha256(digest.code_of(FITTED_BY).encode())
    sha.update(repr([(name, version(name)) for name in LIBRARIES]).encode())
    return built.folder_of(business) / "learners" / sha.hexdigest()[:16]
