"""
Errors that people read: what happened and where, what to do, and what stayed safe.

The command line prints the three sentences and exits with the error's code; Airflow shows the same text.
No error text holds personal data or a secret.
"""

from __future__ import annotations


MAY_PASS = {"postgres_unavailable", "already_running", "branch_moved"}
"""Codes of what may be over by itself in a while: only these are worth another try without a person."""


class RekindleError(Exception):
    """Base of the errors we raise on purpose; `exit_code` is what the command line ends with."""

    exit_code = 2

    def __init__(self, what: str, *, todo: str, safe: str = "Nothing was written.", code: str | None = None) -> None:
        self.what, self.todo, self.safe, self.code = what, todo, safe, code
        self.may_pass = code in MAY_PASS
        super().__init__(f"{code + ': ' if code else ''}{what} {todo} {safe}")


class InputError(RekindleError):
    """Wrong use or input: nothing was written."""


class CheckFailedError(RekindleError):
    """A check or a gate said no: nothing was released, readers keep what they had."""

    exit_code = 1
