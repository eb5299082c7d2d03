"""The values that the gate goes by, as conf/gate.yml says them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rekindle import yml
from rekindle.errors import InputError
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = PROJECT / "conf" / "gate.yml"

Share = Annotated[float, Field(gt=0, lt=1)]
ByFigure = dict[str, Annotated[float, Field(ge=0)]]
"""A value for each figure that may decide on a ranking, by the figure's name."""


class Criteria(BaseModel):
    """The file conf/gate.yml, in which a sentence stands beside each value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resamples: Annotated[int, Field(ge=100)]
    better_level: Share
    margin: ByFigure
    wide_times: Annotated[float, Field(gt=0)]
    segment_positives: Annotated[int, Field(gt=0)]
    segment_loss: ByFigure
    segment_level: Share
    predicted_over_actual: tuple[Annotated[float, Field(gt=0)], float]
    announced_over_actual: tuple[Annotated[float, Field(gt=0)], float]
    served_rank: Annotated[float, Field(ge=-1, le=1)]
    served_mean: Annotated[float, Field(ge=0)]
    leak_over_champion: ByFigure
    leak_over_rule: ByFigure
    shuffles: Annotated[int, Field(ge=0)]
    shuffle_level: Share
    shuffle_rows: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _refuse_empty_range(self) -> Self:
        for name in ("predicted_over_actual", "announced_over_actual"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name}: the lower end comes first")
        return self


def value_for(figure: str, values: Mapping[str, float], name: str) -> float:
    """Return the value for a figure. Raises InputError where none is said: no default decides on a model."""
    if figure not in values:
        raise InputError(
            f"conf/{FILE.name} has no {name} for the figure {figure}.",
            todo=f"Write one under {name}: by how much a ranking may differ in it.",
            safe="The champion stays as it was.",
            code="unreadable_criteria",
        )
    return values[figure]


@cache
def criteria(path: Path = FILE) -> Criteria:
    """Read the file. Raises InputError where it cannot be used, or is not there: without criteria nobody is let in."""
    try:
        return Criteria.model_validate(yml.read(path))
    except (OSError, ValidationError, yaml.YAMLError) as error:
        told = yml.wrong(error) if isinstance(error, ValidationError) else "it cannot be read as YAML"
        raise InputError(
            f"conf/{path.name} cannot be used: {told}.",
            todo="Correct it; the comments in it say what each value is.",
            safe="The champion stays as it was.",
            code="unreadable_criteria",
        ) from None
