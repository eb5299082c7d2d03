"""Reach: a chance of which only the best tenth is used, so candidates are chosen by it. Made up, for a test."""

from __future__ import annotations

from dataclasses import replace

from ml.objectives import figures
from ml.objectives.probability import OBJECTIVE as PROBABILITY

OBJECTIVE = replace(PROBABILITY, name="reach", choose_by=figures.lift)
