"""
The hyper-parameters that a search has found for a product's learners, as conf/learners/PRODUCT.yml says them.

Without a file learners are fitted as they declare. A file is what a person let in: it is committed like other settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.model.learners import why_not_hyper
from ml.products import PRODUCTS
from rekindle import yml
from rekindle.errors import InputError
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml.model.learners.declaration import Hyper
    from ml.products import Product
    from rekindle.days import Days

FOLDER = PROJECT / "conf" / "learners"

HEAD = "# Hyper-parameters of the learners of {product}: what `rekindle search {product} --day {day}` has found.\n"


@dataclass(frozen=True)
class Tuned:
    """Hyper-parameters by learner, those that are not as declared."""

    by_learner: Mapping[str, Hyper] = field(default_factory=dict)
    unseen_from: date = date.min
    """The first day that the search has not looked at."""

    def unseen(self, test: Days) -> Mapping[str, Hyper]:
        """Return what may be judged on some days: nothing where the search has looked at them, or at what comes after."""
        return self.by_learner if self.unseen_from <= test.first else {}


DECLARED = Tuned()
"""All learners as they declare."""


class Found(BaseModel):
    """A file of conf/learners."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: date
    """The search was as of this day …"""
    unseen_from: date
    """… and has looked at what came before this one: no earlier day may judge what it found."""
    trials: Annotated[int, Field(gt=0)]
    learners: dict[str, dict[str, int | float]]


def of_product(product: Product, folder: Path = FOLDER) -> Tuned:
    """
    Read what is stored for a product.

    Raises InputError where the file cannot be used, and where another file of the folder is about no product: a name that is
    written wrongly would else say nothing.
    """
    for path in sorted(folder.glob("*.yml")):
        if path.stem not in {one.name for one in PRODUCTS}:
            raise _unusable(path, f"{path.stem} is no product")
    path = folder / f"{product.name}.yml"
    if not path.exists():
        return DECLARED
    try:
        found = Found.model_validate(yml.read(path))
    except (OSError, ValidationError, yaml.YAMLError) as error:
        told = yml.wrong(error) if isinstance(error, ValidationError) else "it cannot be read as YAML"
        raise _unusable(path, told) from None
    for name, hyper in found.learners.items():
        if name not in product.candidates:
            raise _unusable(path, f"{name} is no candidate of {product.name}")
        if why := why_not_hyper(name, hyper):
            raise _unusable(path, why)
    return Tuned(found.learners, found.unseen_from)


def write(product: Product, found: Found, path: Path | None = None) -> Path:
    """Write what `of_product` reads, where it reads it unless another path is given, and return the path."""
    path = path or FOLDER / f"{product.name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = HEAD.format(product=product.name, day=found.day) + yaml.safe_dump(found.model_dump(), sort_keys=False)
    path.write_text(told, encoding="utf-8")
    return path


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"conf/learners/{path.name} cannot be used: {why}.",
        todo="Correct it, search again with `rekindle search`, or delete it: learners are then fitted as they declare.",
        safe="Nothing was trained; the champion stays as it was.",
        code="unusable_hyper_parameters",
    )
