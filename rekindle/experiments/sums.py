"""
The sums that an arm is known by.

Whoever shares a phone shares its messages, so outcomes of such users are not independent: what is squared are totals of
clusters (of a phone's users), not of users. Where each user is a cluster these are the usual sums of squares.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Sums:
    """
    An arm, or a segment of it: sums over its clusters c of products of their users u, outcome y and covariate x.

    Sums of disjoint clusters add up; a cluster whose users lie in two segments counts in each with its part.
    """

    clusters: int = 0
    users: float = 0.0
    y: float = 0.0
    x: float = 0.0
    uu: float = 0.0
    """Sum over clusters of (its users)^2."""
    uy: float = 0.0
    ux: float = 0.0
    yy: float = 0.0
    """Sum over clusters of (the total of its outcomes)^2."""
    xx: float = 0.0
    xy: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def without(self, share: float) -> Sums:
        """Sums of the outcome y - share * x, in place of y."""
        return Sums(
            clusters=self.clusters,
            users=self.users,
            y=self.y - share * self.x,
            x=self.x,
            uu=self.uu,
            uy=self.uy - share * self.ux,
            ux=self.ux,
            yy=self.yy - 2 * share * self.xy + share**2 * self.xx,
            xx=self.xx,
            xy=self.xy - share * self.xx,
        )

    @property
    def of_covariate(self) -> Sums:
        """The covariate as if it were the outcome."""
        return Sums(
            clusters=self.clusters, users=self.users, y=self.x, uu=self.uu, uy=self.ux, yy=self.xx, x=self.y,
            ux=self.uy, xx=self.yy, xy=self.xy,
        )  # fmt: skip


def sums_of(y: ArrayLike, x: ArrayLike | None = None, cluster: ArrayLike | None = None) -> Sums:
    """Add up users: their outcomes, covariates (0 where there are none) and clusters (each its own where none are given)."""
    outcome = np.asarray(y, float)
    covariate = np.zeros_like(outcome) if x is None else np.asarray(x, float)
    total_u, total_y, total_x = _totals(np.ones_like(outcome), outcome, covariate, cluster=cluster)
    return Sums(
        clusters=len(total_u),
        users=float(total_u.sum()),
        y=float(total_y.sum()),
        x=float(total_x.sum()),
        uu=float(total_u @ total_u),
        uy=float(total_u @ total_y),
        ux=float(total_u @ total_x),
        yy=float(total_y @ total_y),
        xx=float(total_x @ total_x),
        xy=float(total_x @ total_y),
    )


def _totals(*of_users: NDArray[np.float64], cluster: ArrayLike | None) -> list[NDArray[np.float64]]:
    if cluster is None:
        return list(of_users)
    _, place = np.unique(np.asarray(cluster), return_inverse=True)
    return [np.bincount(place, weights=values).astype(float) for values in of_users]
