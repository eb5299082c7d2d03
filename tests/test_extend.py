"""What adding a thing takes: the made-up ones of tests/integration, looked at in a copy of the checkout, without a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from rekindle.settings import PROJECT
from tests.integration.made_up import copy_of_the_checkout, files_of

if TYPE_CHECKING:
    from pathlib import Path

LOOK = """
import json
import numpy as np
import pyarrow as pa
from ml.model.encoder import Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.calibration import Platt
from ml.model.scorer import Forecast, Scorer
from ml.objectives import OBJECTIVES
from ml.products import PRODUCTS, labels_of
from rekindle.warehouse import contracts
from rekindle.publishing.publications import declared
from rekindle.settings import settings
from rekindle.warehouse import lineage

x = np.random.default_rng(0).normal(size=(2000, 2))
rows, outcome = pa.table({"nothing": x[:, 0], "something": x[:, 1]}), (x[:, 1] > 0.5).astype(float)
parts = LEARNERS["steps"].fit(Encoders(rows), "binary", Examples(Encoded(rows), outcome), 0)
files = Scorer("purchase", (Forecast("bought_1_14", "steps", parts, Platt(1.0, 0.0)),)).to_files()
learnt = Scorer.from_files(files).predict(rows).by_label["bought_1_14"]

steps = lineage.graph().steps({p.table: p.name for p in PRODUCTS})
print(json.dumps({
    "products": [p.name for p in PRODUCTS],
    "candidates": {p.name: p.candidates for p in PRODUCTS},
    "objectives": list(OBJECTIVES),
    "chosen_by": OBJECTIVES["reach"].choose_by(outcome, learnt),
    "learnt": [learnt[outcome == 0].mean(), learnt[outcome == 1].mean()],
    "labels": [label["name"] for label in labels_of(PRODUCTS, settings())],
    "steps": {step.id: step.after for step in steps},
    "sources": contracts.landing_sources(),
    "published": [p.target for p in declared()],
    "features": [c.name for c in contracts.load("features.user").columns],
    "published_columns": [c.name for c in next(p for p in declared() if p.name == "recall").columns],
    "said": contracts.load("features.user").phrases["refunded_dates_90d"].value,
}))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def seen(extended: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=extended,
        env={"PYTHONPATH": str(extended)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_a_product_is_scored_and_published_because_its_files_are_there(seen: dict[str, Any]):
    assert seen["products"] == ["ltv", "purchase", "recall", "return_value", "vip_30"]
    assert "bought_1_14" in seen["labels"]
    assert seen["steps"]["score purchase"] == ["build features.user_basket", "marts training"]
    assert "sms.purchase_scores" in seen["published"]


def test_a_learner_competes_because_its_file_is_there(seen: dict[str, Any]):
    """Fitted, stored and read again by its name."""
    unlikely, likely = seen["learnt"]

    assert seen["candidates"]["purchase"] == ["logistic", "steps"]
    assert unlikely < 0.2
    assert likely > 0.8


def test_an_objective_chooses_because_its_file_is_there(seen: dict[str, Any]):
    """By how many more of the best tenth come true: each of them, where not a third of all do."""
    assert seen["objectives"] == ["amount", "count", "probability", "reach"]
    assert seen["chosen_by"] > 3


def test_a_source_is_loaded_because_its_contract_is_there(seen: dict[str, Any]):
    assert "surveys" in seen["sources"]
    assert seen["steps"]["ingest surveys"] == []


def test_a_feature_is_a_line_of_the_contract_and_an_expression(seen: dict[str, Any]):
    at = seen["features"].index("refund_amount_1d")
    assert seen["features"][at - 1] == "refunded_dates_90d"
    assert seen["said"] == "{value} within {w}"


def test_a_column_is_published_because_a_line_says_so(seen: dict[str, Any]):
    assert "raw_score" in seen["published_columns"]


@pytest.mark.parametrize(
    ("addition", "most"),
    [
        *[("product", 2), ("learner", 1), ("objective", 1), ("label", 1), ("table", 2), ("source", 1), ("feature", 2)],
        *[("published column", 2), ("mart column", 2), ("DAG", 2)],
    ],
)
def test_the_table_of_what_to_touch_is_true(addition: str, most: int):
    """docs/extend.md says how many files an addition takes; this counts them."""
    page = (PROJECT / "docs" / "extend.md").read_text()
    (told,) = re.findall(rf"^\| [^|]*\[{addition}\][^|]*\| (\d+) \|", page, re.MULTILINE)

    assert len(files_of(addition)) == int(told) <= most
    for name in files_of(addition):
        assert name.rpartition("/")[0] in page, f"docs/extend.md does not say that {addition} takes {name}."
