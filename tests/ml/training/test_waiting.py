"""A product that was never in use waits for a longer history; one in use that cannot be trained is a failure."""

import pytest

from ml import registry
from ml.products import PRODUCTS
from ml.training.waiting import only_waits
from rekindle.errors import CheckFailedError

LTV = next(product for product in PRODUCTS if product.name == "ltv")


@pytest.mark.parametrize(
    ("code", "was_in_use", "waits"),
    [
        ("not_enough_history", False, True),
        ("too_few_of_a_kind", False, True),
        ("too_few_rows", False, True),
        ("one_class", False, True),
        ("not_enough_history", True, False),
        ("label_among_features", False, False),
        ("no_signal", False, False),
    ],
)
def test_only_too_little_of_what_nobody_uses_yet_waits(monkeypatch, code, was_in_use, waits):
    monkeypatch.setattr(registry, "has_had_champion", lambda product: was_in_use and product is LTV)

    assert only_waits(LTV, CheckFailedError("No.", todo="Wait.", code=code)) == waits
