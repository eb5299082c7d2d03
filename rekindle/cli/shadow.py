"""What a shadow has found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rekindle.publishing.comparing import Change, FigureChange
    from rekindle.workflow.shadow import FailedCheck, Told


def text_of(told: Told) -> str:
    """Tell what would change, table by table: rows of the day, what is published, checks. Nobody is named, nor a score."""
    return "\n".join(_lines(told))


def _lines(told: Told) -> Iterator[str]:
    yield f"A shadow of {told.day}, {told.seconds:.0f} s. Nothing was released or published, and its branches are dropped."
    if told.tables:
        yield "Rows of the day, now and in the shadow:"
    for table in told.tables:
        more = f"{table.rows_then - table.rows_now:>+12,}" if table.rows_then != table.rows_now else ""
        yield f"  {table.table:<34}{table.rows_now:>12,} {table.rows_then:>12,}{more}"
    if told.published:
        yield "What would be published, against what is:"
    for change in told.published:
        yield from _change(change)
    for step, why in told.failed.items():
        yield f"{step} failed: {why}"
    for step, missing in told.not_built.items():
        yield f"{step} was left out: {', '.join(missing)} came to nothing."
    for step, why in told.skipped.items():
        yield f"{step} was skipped: {why}."
    for check in told.checks:
        yield f"Failed: {check.table}: {check.rule}{_seen(check)}."
    yield "A run of the day would publish it." if told.is_fit else "A run of the day would be stopped."


def _seen(check: FailedCheck) -> str:
    if check.can_be_accepted:
        return f", moved by {check.moved:.3g} (can be accepted)" if check.moved is not None else " (can be accepted)"
    rows = "" if check.failed_rows is None else f", {check.failed_rows:,} rows"
    return f"{rows} ({'stops the day' if check.severity == 'stop' else 'warns'})"


def _change(change: Change) -> Iterator[str]:
    of_day = (
        f", against the rows of {change.compared_with}" if change.compared_with else ", of which there is nothing yet"
    )
    yield (
        f"  {change.table}{of_day}: {change.rows_now:,} rows now, {change.rows_then:,} then;"
        f" {change.appear:,} appear, {change.disappear:,} disappear, {change.changed:,} change"
    )
    for figure in change.figures:
        yield f"    {figure.column}: {_figure(figure)}"
    for code, (now, then) in (change.codes or {}).items():
        yield f"    {code:<32}{now:>10,} {then:>10,}"


def _figure(figure: FigureChange) -> str:
    if not figure.changed:
        return f"the same for all {figure.users:,}"
    told = f"{figure.changed:,} of {figure.users:,} differ, by {figure.mean_difference:.3g} on average"
    order = "" if figure.rank_correlation is None else f"; rank correlation {figure.rank_correlation:.3f}"
    return f"{told} and {figure.largest_difference:.3g} at most{order}"
