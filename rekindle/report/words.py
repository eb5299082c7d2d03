"""How the report puts figures, days and findings into words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date, datetime

    from rekindle.records import RecordedCheck
    from rekindle.report.came_true import Sums
    from rekindle.report.scored_by import Compared, ScoredBy

NO_ROWS = "no_rows"

ROUTINE = {"late", "repeated"}
"""What deliveries bring on any day; and a state without news has no rows."""

ACCEPTED = {
    "late": "late, from before the day",
    "repeated": "repeated from an earlier delivery, passed over when read",
    "unknown_user": "of users that no delivery has named yet",
    "number_as_text": "with a number as text, which was cast",
    "trimmed_id": "with blanks around an id, which was read without them",
    "erased": "of erased people, dropped",
    "unusable_time": "with a time that cannot be used, which count from the end of the delivery",
    "conflicting_duplicate": "with a key of the delivery and another content, in quarantine",
    "before_registration": "from before their user registered",
    "dominant_user": "of one user: a robot, a test account or a default",
    "many_values": "or more with a value of their own, in a column of which few values are expected",
}
"""What ingestion says of what it loaded, by the codes of `raw.deliveries`; other codes speak for themselves."""

FOR_ACCEPTING = {"soft", "moved", "accepted_days"}
"""What a result says for the command that accepts it: the days and figures beside it say the same to people."""

FIGURES = {"auc": "AUC", "gini": "normalised Gini"}
"""Figures of an evaluation that have a name of their own; others speak for themselves."""

MINUTE_SECONDS = 60


def count(value: int) -> str:
    return f"{value:,}"


def whole(value: float) -> str:
    """Write an amount without its cents."""
    return amount(value, 0)


def rows(value: int) -> str:
    return _many(value, "row")


def users(value: int) -> str:
    return _many(value, "user")


def days(value: int) -> str:
    return _many(value, "day")


def warnings(value: int) -> str:
    return _many(value, "warning")


def _many(value: int, one: str) -> str:
    return f"{value:,} {one if value == 1 else one + 's'}"


def percent(share: float, digits: int = 1) -> str:
    return f"{share:.{digits}%}".replace("-", "\u2212")


def change(share: float) -> str:
    """Write a relative change with its sign; a true minus, so that it is as wide as the plus."""
    return f"{share:+.1%}".replace("-", "\u2212")


def amount(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def mean(value: float, kind: str) -> str:
    """Write a mean, in percent where it is a share."""
    return percent(value) if kind == "share" else amount(value)


def came_true(sums: Sums, kind: str) -> str:
    """Say in a sentence how predictions compare with what came of them."""
    if kind == "share":
        return f"Of 100 users whom we gave {sums.predicted_mean:.0%}, it came true for {100 * sums.actual_mean:.0f}."
    return f"Of a user from whom we expected {amount(sums.predicted_mean)}, {amount(sums.actual_mean)} came."


def ratio(sums: Sums) -> str:
    """Write predicted over actual with its interval."""
    if sums.ratio is None or sums.interval is None:
        return "nothing came"
    low, high = sums.interval
    return (
        f"{sums.ratio:.2f} ({low:.2f} to {high:.2f})" if high is not None else f"{sums.ratio:.2f} ({low:.2f} or more)"
    )


def between(interval: tuple[float, float], say: Callable[[float], str]) -> str:
    """Write the ends of an interval, the upper one of which may not be known."""
    low, high = interval
    return f"{say(low)} to {say(high)}" if math.isfinite(high) else "not known"


def in_office(one: ScoredBy) -> str:
    """Say since when a version is champion, or why it scored though it is none."""
    if one.since is None:
        told = "No promotion of it to champion is recorded for this day."
    elif one.is_withdrawn:
        told = f"Champion from {day_of(one.since)} on, which a rollback has taken back since."
    else:
        told = f"Champion since {day_of(one.since)}."
    return f"{told} It scored the day later, in a backfill." if one.is_backfilled else told


def figure_of(compared: Compared) -> str:
    """Name the figure that the gate reads, and what it was compared with."""
    name = FIGURES.get(compared.figure, compared.figure.replace("_", " "))
    if compared.naive is None:
        return name
    rule = f" ({compared.to_beat})" if compared.to_beat else ""
    return f"{name}, against {compared.naive:.3f} of the best naive rule{rule}"


def difference(compared: Compared) -> str:
    """Write how much a model ranks better than the best naive rule, with its interval; empty for the rule itself."""
    if compared.difference is None:
        return ""
    value, low, high = (f"{figure:+.3f}".replace("-", "\u2212") for figure in compared.difference)
    return f"{value} ({low} to {high})"


def seconds(value: float) -> str:
    if value < MINUTE_SECONDS:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), MINUTE_SECONDS)
    return f"{minutes} min {rest} s"


def short_day(day: date) -> str:
    return f"{day.day} {day:%b}"


def day_of(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def weekday_of(day: date) -> str:
    return f"{day:%a} {day.day}"


def month_of(day: date) -> str:
    return f"{day:%B %Y}"


def long_day(day: date) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}"


def moment(at: datetime) -> str:
    """Write a time of Postgres, whose sessions are in UTC."""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def rule(check: RecordedCheck) -> str:
    """A rule that is an SQL condition has a name like a variable's."""
    return check.rule.replace("_", " ") if " " not in check.rule else check.rule


def figures(check: RecordedCheck) -> str:
    """Say by how much a rule was broken: rows and references to some, days and their figures, or the error."""
    return "; ".join(_figures(check.failed_rows, check.detail)) or "no figures were recorded"


def _figures(failed_rows: int | None, detail: Mapping[str, Any]) -> Iterator[str]:
    if failed_rows is not None:
        yield rows(failed_rows)
    for name, value in detail.items():
        if name in FOR_ACCEPTING:
            continue
        told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield {"examples": "for example ", "error": "could not run: ", "days": "", "limit": "limit "}.get(
            name, f"{name.replace('_', ' ')} "
        ) + told


def accepted(warnings: Mapping[str, int]) -> Iterator[str]:
    """Say what ingestion found in what it loaded."""
    for code, value in warnings.items():
        if code == NO_ROWS and value:
            yield "the delivery has no rows"
        elif value:
            yield f"{rows(value)} {ACCEPTED.get(code, code.replace('_', ' '))}"
