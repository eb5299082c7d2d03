"""Why a user may not be texted: a closed list, of which the first that applies is shown."""

from __future__ import annotations

CODES = (
    "erased",
    "not_in_population",
    "no_consent",
    "consent_withdrawn",
    "consent_incomplete",
    "consent_stale",
    "no_phone",
    "invalid_phone",
    "not_mobile",
    "phone_changed",
    "phone_shared_with_opted_out",
    "unknown_timezone",
    "no_send_window",
    "frequency_cap",
    "recently_messaged",
    "low_expected_gain",
    "expired",
    "holdout",
)
"""In order: the first that matches is the reason. `holdout` is last, so that who is in it would have been texted."""
