"""What no row of a table that permits may say, whatever the table is about: Postgres refuses it."""

from __future__ import annotations

from rekindle.permission.codes import CODES

ONLY_WHERE_ELIGIBLE = (
    *("valid_until", "phone_e164", "consent_at", "consent_source", "policy_version"),
    *("timezone", "send_window_start", "send_window_end"),
)
"""What Postgres lets no row have that is not eligible."""

_CODES = ", ".join(f"'{code}'" for code in CODES)

CONSTRAINTS = {
    "suppression_reason_is_of_the_list": f"suppression_reason in ({_CODES})",
    "send_window_ends_after_it_starts": "send_window_end > send_window_start",
    "permission_only_where_eligible": (
        f"num_nonnulls({', '.join(ONLY_WHERE_ELIGIBLE)}) = case when eligible then {len(ONLY_WHERE_ELIGIBLE)} else 0 end"
    ),
    "eligible_or_a_reason": "eligible = (suppression_reason is null)",
    "only_holdout_comes_after_eligible": (
        "eligible_before_holdout = (eligible or coalesce(suppression_reason, '') = 'holdout')"
    ),
    "eligible_only_in_population": "in_population or not eligible",
    "held_out_as_the_reason_says": (
        "case when eligible then holdout is false when suppression_reason = 'holdout' then holdout is true else true end"
    ),
    "eligible_only_with_gain": "not eligible_before_holdout or coalesce(expected_gain, 0) > 0",
    "erased_says_nothing_else": (
        "suppression_reason is distinct from 'erased'"
        " or (not in_population and holdout is null and expected_gain is null)"
    ),
}
"""By name. Those of the first such table were made by migrations, before a second needed them; a test compares."""
