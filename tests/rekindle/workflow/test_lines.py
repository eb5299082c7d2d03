"""Each kind of task says what it did in one line."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rekindle.publishing import Published
from rekindle.workflow import lines

DAY = date(2017, 12, 31)
DELIVERY = {"delivered": 1_250, "loaded": 1_245, "duplicates": 3, "quarantined": 2}
TRAINED = {"version": "7", "gate": "AUC 0.762 beats recency"}
UPKEEP = {"dropped_branches": 1, "rewritten_files": 600, "deleted_files": 2}


def delivery(**other: int) -> dict[str, Any]:
    return {**DELIVERY, "absent_days": 0, "unchanged_days": 0, **other}


def published(table: str, *, is_current: bool, current_day: date | None) -> Published:
    return Published(table.removeprefix("sms."), table, 1_245, 1_001, current_day, is_current)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            lines.begun("daily", DAY, "ab12"),
            "The daily run of 2017-12-31 has begun; its id in our tables is ab12.",
        ),
        (lines.ended("training", DAY, "ab12"), "The training run of 2017-12-31, ab12, is done."),
        (
            lines.ingested("orders", DAY, delivery()),
            "orders of 2017-12-31: 1,250 rows delivered, 1,245 loaded, 3 duplicates, 2 quarantined.",
        ),
        (
            lines.ingested("orders", DAY, delivery(unchanged_days=1)),
            (
                "orders of 2017-12-31: 1,250 rows delivered, 1,245 loaded, 3 duplicates, 2 quarantined; "
                "it had been loaded before and is unchanged."
            ),
        ),
        (lines.ingested("orders", DAY, delivery(absent_days=1)), "orders of 2017-12-31: no delivery."),
        (lines.built("features.user", DAY, 1_245), "features.user of 2017-12-31: 1,245 rows, released."),
        (
            lines.built_marts(DAY, ("marts.a", "marts.b"), {"tests_passed": 1}),
            "marts.a, marts.b of 2017-12-31: 1 test passed, released.",
        ),
        (
            lines.scored("scores.recall_daily", DAY, 1, {"model": "rekindle_recall", "version": "3"}),
            "scores.recall_daily of 2017-12-31: 1 row scored by rekindle_recall version 3, released.",
        ),
        # A product without a model.
        (lines.scored("scores.x", DAY, 2, {}), "scores.x of 2017-12-31: 2 rows scored, released."),
        (
            lines.published(DAY, [published("sms.recall_scores", is_current=True, current_day=DAY)]),
            "Published for 2017-12-31: sms.recall_scores 1,245 rows, 1,001 changed.",
        ),
        (
            lines.published(
                DAY,
                [
                    published("sms.a", is_current=False, current_day=date(2018, 1, 1)),
                    published("sms.b", is_current=False, current_day=None),
                ],
            ),
            (
                "Published for 2017-12-31: sms.a 1,245 rows into history only, because the current rows are about 2018-01-01; "
                "sms.b 1,245 rows into history only."
            ),
        ),
        (
            lines.reported(DAY, Path("/home/reports/2017-12-31.html")),
            "The page about 2017-12-31 is /home/reports/2017-12-31.html.",
        ),
        (
            lines.trained("recall", DAY, {**TRAINED, "promoted": True, "why_not_promoted": None}),
            "recall as of 2017-12-31: version 7 is champion. Gate: AUC 0.762 beats recency.",
        ),
        (
            lines.trained("recall", DAY, {**TRAINED, "promoted": True, "kept_out": "Neither read nor shown: age."}),
            "recall as of 2017-12-31: version 7 is champion. Gate: AUC 0.762 beats recency. Neither read nor shown: age.",
        ),
        (
            lines.trained("recall", DAY, {**TRAINED, "promoted": True, "uplift": "Each has an uplift."}),
            "recall as of 2017-12-31: version 7 is champion. Gate: AUC 0.762 beats recency. Each has an uplift.",
        ),
        (
            lines.trained(
                "recall", DAY, {**TRAINED, "promoted": False, "why_not_promoted": "it did not pass the gate"}
            ),
            (
                "recall as of 2017-12-31: version 7 did not become champion, for it did not pass the gate. "
                "Gate: AUC 0.762 beats recency."
            ),
        ),
        (
            lines.looked_after(DAY, {"raw.users": {"deleted_files": 2}}, 0, {"erased people": 2}),
            "1 table as of 2017-12-31. Deleted files: 2, deleted logs: 0, erased people: 2.",
        ),
        (
            lines.looked_after(DAY, {"raw.users": UPKEEP, "raw.orders": UPKEEP}, 3),
            "2 tables as of 2017-12-31. Dropped branches: 2, rewritten files: 1,200, deleted files: 4, deleted logs: 3.",
        ),
    ],
)
def test_a_task_says_in_one_line_what_it_did(line: str, said: str):
    assert line == said
