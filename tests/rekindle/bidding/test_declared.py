"""conf/rta.yml: what it may say, and what is said of a file that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rekindle.bidding.declared import FILE, rta
from rekindle.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_of_the_project_can_be_used():
    found = rta()

    assert set(found.strategies) == {"recall", "acquisition"}
    assert 0.1 <= found.share.least < found.share.most <= 0.9


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("  most: 0.6 ", "  most: 0.95 ", "share.most: Input should be less than or equal to 0.9"),
        ("  least: 0.1 ", "  least: 0.05 ", "share.least: Input should be greater than or equal to 0.1"),
        ("  most: 0.6 ", "  most: 0.1 ", "least is not less than most"),
        ("default: none", "default: recall_value", "an id of its own"),
        ("    least: 0.5                     # … and", "    least: 2.5 # … and", "least is more than most"),
        ("  share: 0.1 ", "  share: 0.6 ", "control.share: Input should be less than or equal to 0.5"),
        ("  salt: rta-2026-11 ", "  salt: short ", "control.salt: String should match pattern"),
        ("  days: 7 ", "  days: 91 ", "cap.days: Input should be less than or equal to 90"),
        ("  recall:", "  churn:", "strategies.churn"),
        (
            "    exponent: 1.0                  # The multiplier",
            "    exponent: -1.0 # The multiplier",
            "exponent: Input should be greater",
        ),
        ("  purpose: marketing", "  porpoise: marketing", "porpoise: Extra inputs are not permitted"),
        ("default: none", "default: [", "it is no YAML"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, right: str, wrong: str, said: str):
    text = FILE.read_text()
    assert text.count(right) == 1
    path = tmp_path / "rta.yml"
    path.write_text(text.replace(right, wrong))

    with pytest.raises(InputError, match="unusable_rta") as error:
        rta(path)

    assert said in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="unusable_rta"):
        rta(tmp_path / "rta.yml")
