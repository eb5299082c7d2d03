"""What the demo says at its end."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from rekindle.cli import demo
from tests.rekindle.report.conftest import publish  # noqa: F401 - the fixture

DAY = date(2017, 6, 14)


def test_the_demo_leads_with_value_at_stake_and_says_why(publish):  # noqa: F811
    publish(DAY, {"sure": 0.95, "even": 0.5}, {"sure": Decimal(100), "even": Decimal(90)})
    console = Console(record=True, width=100)

    demo._tell(DAY, {}, Path("report.html"), console.print)

    told = console.export_text()
    assert "a reason not to pay for a message" in told
    assert told.index("even") < told.index("sure")
    assert "22.50" in told
    assert "Nobody may be texted." in told
    assert "Consents and phones are simulated" in told
    assert "scores recall --day 2017-06-14 --user even" in told
