"""Planted tastes: users of a group like the items of their block, and little else."""

from __future__ import annotations

import numpy as np
import pytest

from ml.recommendation import Items, Known, Users

GROUPS, A_GROUP, A_BLOCK = 4, 30, 12


def block_of(item: str) -> int:
    return int(item[1:]) // A_BLOCK


def group_of(user: str) -> int:
    return int(user[1:]) // A_GROUP


@pytest.fixture(scope="session")
def planted() -> Known:
    """Eight of ten interactions are with the own block; one user and one item of each block have none."""
    draw = np.random.default_rng(7)
    names = [f"u{number:03d}" for number in range(GROUPS * A_GROUP)]
    rows = []
    for number, name in enumerate(names):
        for _ in range(9):
            block = number // A_GROUP if draw.random() < 0.8 else int(draw.integers(GROUPS))
            rows.append((name, f"i{block * A_BLOCK + int(draw.integers(A_BLOCK)):03d}", float(draw.random() * 60)))
    items = [f"i{number:03d}" for number in range(GROUPS * A_BLOCK)]
    new = [f"new{block}" for block in range(GROUPS)]
    user_id, item_id, day = zip(*rows, strict=True)
    return Known.of(
        user_id,
        item_id,
        day,
        items=Items.of(
            [*items, *new], [*([f"c{block_of(item)}"] for item in items), *([f"c{n}"] for n in range(GROUPS))]
        ),
        users=Users.of(
            [*names, *(f"cold{group}" for group in range(GROUPS)), "nobody"],
            country=[*(f"land{group_of(name)}" for name in names), *(f"land{group}" for group in range(GROUPS)), None],
        ),
    )
