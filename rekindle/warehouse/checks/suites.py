"""Expectations as suites of Great Expectations, one run of them, and its Data Docs: the only room that knows how GX works."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

from rekindle.errors import CheckFailedError
from rekindle.records import CheckResult, Severity
from rekindle.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

    from great_expectations.data_context import EphemeralDataContext

# Ahead of its import, which tells of each function that it does not register.
logging.getLogger("great_expectations").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Expected:
    """One expectation: its name in reports, what it does on failure, and, for rows, the SQL of a row that breaks it."""

    name: str
    severity: Severity
    expectation: Any
    broken_where: str | None = None
    column: str | None = None
    soft: str | None = None
    """How the contract names it, where a person may accept for a day that it fails; None where nobody may."""


@cache
def import_ahead() -> None:
    """
    Begin to import Great Expectations, which takes seconds, while Spark works on what is to be checked.

    A process that ends before waits for it: the import of a compiled module must not be cut off.
    """
    Thread(target=import_module, args=["great_expectations.expectations"]).start()


def data_docs_folder(run_id: str) -> Path:
    """Where the Data Docs of a run are kept."""
    return settings().home / "data_docs" / run_id


@lru_cache(maxsize=1)
def _context(run_id: str) -> EphemeralDataContext:
    """
    The context of a run, kept while the process works on that run.

    Suites and validations are files of their own in the run's folder, the configuration is not a file: tasks of a run
    that are processes side by side would read it half-written.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        FilesystemStoreBackendDefaults,
        ProgressBarsConfig,
    )

    folder = data_docs_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    config = DataContextConfig(
        store_backend_defaults=FilesystemStoreBackendDefaults(root_directory=folder),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def validate(name: str, expected: list[Expected], data: Any, run_id: str) -> list[CheckResult]:
    """Run expectations as one suite on a Spark or pandas data frame; one result each, in their order."""
    import great_expectations as gx
    import pandas as pd

    if not expected:
        raise CheckFailedError(
            f"The suite {name} has no expectation.",
            todo="Write columns and checks into the contract.",
            safe="Nothing was released.",
            code="empty_suite",
        )
    context = _context(run_id)
    if isinstance(data, pd.DataFrame):
        source = context.data_sources.add_or_update_pandas(name)
    else:
        source = context.data_sources.add_or_update_spark(name, persist=False)
    batch = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("days")
    for one in expected:
        one.expectation.meta = {"rule": one.name, "severity": one.severity}
    suite = context.suites.add_or_update(
        gx.ExpectationSuite(name=name, expectations=[one.expectation for one in expected])
    )
    validation = context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name=name, data=batch, suite=suite)
    )
    # Without values: a result must not show personal data.
    outcome = validation.run(batch_parameters={"dataframe": data}, result_format={"result_format": "BOOLEAN_ONLY"})
    by_rule = {result.expectation_config.meta["rule"]: result for result in outcome.results}
    return [_result(one, by_rule[one.name]) for one in expected]


def _result(expected: Expected, result: Any) -> CheckResult:
    if result.success:
        return CheckResult(expected.name, expected.severity, "passed", None, {})
    detail: dict[str, Any] = {}
    error = _error(result.exception_info)
    if error:
        # A check that could not run is no check: it stops whatever its severity.
        return CheckResult(expected.name, "stop", "failed", None, {"error": error})
    limit = result.expectation_config.kwargs.get("max_value")
    if expected.broken_where is None and limit is not None:
        detail["limit"] = limit
    return CheckResult(expected.name, expected.severity, "failed", result.result.get("unexpected_count"), detail)


def _error(info: dict[str, Any] | None) -> str | None:
    """What an expectation raised; GX nests it by metric where several metrics raised."""
    infos = [info] if info and "raised_exception" in info else list((info or {}).values())
    messages = [i.get("exception_message") or "raised" for i in infos if i.get("raised_exception")]
    return "; ".join(m.splitlines()[0] for m in messages) or None


def build_data_docs(run_id: str) -> str:
    """Render the Data Docs of all validations of a run; returns the URL of the first page."""
    pages = _context(run_id).build_data_docs()
    return next(iter(pages.values()))
