"""
What Rekindle records about its runs, in Postgres (schema `rekindle`).

Every time comes from Postgres' clock, durations from a monotonic one.
"""

from rekindle.records.builds import Build, Input, builds, last_served, record_builds
from rekindle.records.campaign_results import CampaignResult, Measured, campaign_results, measured_on
from rekindle.records.checks import CheckResult, RecordedCheck, Severity, checks, checks_since, record_checks
from rekindle.records.expiry import expiries, record_expiry
from rekindle.records.outcomes import Outcome, outcomes, replace_days
from rekindle.records.promotions import (
    ROLLBACK,
    Gate,
    Promotion,
    append_promotion,
    gates,
    has_taken_over_gates,
    promoted_products,
    promotions,
    record_gate,
    standing,
    take_over_gates,
)
from rekindle.records.reports import ReportedDay, record_reported, reported_days
from rekindle.records.runs import (
    Run,
    Stage,
    StageNotes,
    durations,
    find_run,
    finish_run,
    new_run_id,
    record_snapshots,
    run_id_of,
    run_seconds,
    runs,
    snapshots,
    stage,
    stages,
    start_run,
)

__all__ = [
    "ROLLBACK",
    "Build",
    "CampaignResult",
    "CheckResult",
    "Gate",
    "Input",
    "Measured",
    "Outcome",
    "Promotion",
    "RecordedCheck",
    "ReportedDay",
    "Run",
    "Severity",
    "Stage",
    "StageNotes",
    "append_promotion",
    "builds",
    "campaign_results",
    "checks",
    "checks_since",
    "durations",
    "expiries",
    "find_run",
    "finish_run",
    "gates",
    "has_taken_over_gates",
    "last_served",
    "measured_on",
    "new_run_id",
    "outcomes",
    "promoted_products",
    "promotions",
    "record_builds",
    "record_checks",
    "record_expiry",
    "record_gate",
    "record_reported",
    "record_snapshots",
    "replace_days",
    "reported_days",
    "run_id_of",
    "run_seconds",
    "runs",
    "snapshots",
    "stage",
    "stages",
    "standing",
    "start_run",
    "take_over_gates",
]
