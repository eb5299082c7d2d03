"""
The model registry: which versions of a product there are, what the gate said of them, and who is in office.

`versions` keeps models in MLflow, `champions` says which of them scores a day. Nothing becomes champion, and nothing is
loaded to score, without a passed gate and exactly the bytes that it judged.
"""

from ml.registry.champions import (
    CHAMPION,
    champion,
    champion_on,
    find_champion,
    finish_begun,
    has_had_champion,
    in_effect_since,
    model_for,
    overview,
    promote,
    rollback,
    succeed,
    told_of,
    why_skipped,
)
from ml.registry.gates import TakenOver, take_over
from ml.registry.searches import log_search
from ml.registry.trained import Trained
from ml.registry.versions import Version, files_of, model_location, register, same, version, versions

__all__ = [
    "CHAMPION",
    "TakenOver",
    "Trained",
    "Version",
    "champion",
    "champion_on",
    "files_of",
    "find_champion",
    "finish_begun",
    "has_had_champion",
    "in_effect_since",
    "log_search",
    "model_for",
    "model_location",
    "overview",
    "promote",
    "register",
    "rollback",
    "same",
    "succeed",
    "take_over",
    "told_of",
    "version",
    "versions",
    "why_skipped",
]
