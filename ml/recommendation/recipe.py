"""
What a training has chosen, as native files: settings of retrievers, their weights, and the ranker's trees.

It holds no factor and no row of anybody. A day's retrievers learn by it from all that is known at the end of the day, so the
feedback of a day is in the lists of the next, a new item as well, and whoever was erased is in none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ml.model.artifact import MODEL_FILE, check_names
from ml.model.learners.boosting import Boosting
from ml.recommendation.merging import Merging
from ml.recommendation.ranking import Ranker, Verdict
from ml.recommendation.recommender import Chosen, relearn
from ml.recommendation.retrievers import RETRIEVERS
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.recommendation.interactions import Known
    from ml.recommendation.recommender import Recommender

FORMAT = 1
TREES = "booster_ranker.txt"


@dataclass(frozen=True)
class Recipe:
    """A version of the model of recommendations."""

    chosen: Chosen
    is_rule: bool = False
    """Whether it is the naive rule, in the place of a model that lost: all that it answers is a fallback."""

    inputs: ClassVar[Mapping[str, str]] = {"user_id": "string", "item_id": "string", "day": "double"}
    outputs: ClassVar[Mapping[str, str]] = {"item_id": "string", "score": "double"}
    encoders: ClassVar[tuple[()]] = ()
    needs: ClassVar[tuple[str, ...]] = ("numpy", "scipy", "pyarrow", "lightgbm", "implicit")

    def learnt(self, known: Known, *, leaves_out_seen: bool) -> Recommender:
        """Learn from what is known."""
        return relearn(known, self.chosen, leaves_out_seen=leaves_out_seen)

    def to_files(self) -> dict[str, bytes]:
        """Return its native files: equal recipes are equal bytes."""
        chosen = self.chosen
        told = {
            "format": FORMAT,
            "kind": "recommendation",
            "is_rule": self.is_rule,
            "retrievers": {name: dict(values) for name, values in chosen.hyper.items()},
            "weights": dict(chosen.merging.weights),
            "constant": chosen.merging.constant,
            "single": chosen.single,
            "validation_users": chosen.validation_users,
            "ranker": chosen.verdict.says,
        }
        files = {MODEL_FILE: json.dumps(told, indent=1).encode()}
        return files | ({TREES: chosen.ranker.trees.to_bytes()} if chosen.ranker else {})

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Recipe:
        """Read what `to_files` wrote. Raises InputError for what this code does not know: it would answer something else."""
        check_names(files)
        told: dict[str, Any] = json.loads(files[MODEL_FILE])
        if (told.get("kind"), told.get("format")) != ("recommendation", FORMAT):
            raise _unknown("it is of another kind or format")
        if absent := sorted(set(told["retrievers"]) - set(RETRIEVERS)):
            raise _unknown(f"it names the retrievers {', '.join(absent)}")
        for name, hyper in told["retrievers"].items():
            if set(hyper) != set(RETRIEVERS[name].hyper):
                raise _unknown(f"{name} has other settings")
        trees = Boosting.from_text(files[TREES].decode()) if TREES in files else None
        verdict = Verdict(is_kept=trees is not None, difference=None, says=told["ranker"])
        chosen = Chosen(
            told["retrievers"],
            Merging(told["weights"], told["constant"]),
            Ranker(trees) if trees else None,
            verdict,
            told["validation_users"],
            told["single"],
        )
        return cls(chosen, told["is_rule"])


def _unknown(why: str) -> InputError:
    return InputError(
        f"The model of recommendations cannot be used by this code: {why}.",
        todo="Train it again: rekindle train recommendation --day D",
        safe="Nothing was answered; the last good day stays.",
        code="unknown_recipe",
    )
