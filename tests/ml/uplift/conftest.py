"""Trials with known effects."""

from __future__ import annotations

import pytest

from quality.figures import lots
from quality.trials import simulated


@pytest.fixture(scope="session")
def told():
    """A trial in which a message moves some and not others, and strongly."""
    return simulated(lots("a trial that moves some"), 8_000, 0.08)


@pytest.fixture(scope="session")
def alike():
    """A trial in which a message changes the same for everybody."""
    return simulated(lots("a trial that moves all alike"), 8_000, 0.04, moved=False)
