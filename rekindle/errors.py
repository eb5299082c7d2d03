"""
Errors that people read: what happened and where, what to do, and what stayed safe.

The command line prints the three sentences and exits with the error's code; Airflow shows the same text.
No error text holds personal data or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


MAY_PASS = {"postgres_unavailable", "already_running", "branch_moved", "lock_lost", "dbt_failed", "source_unavailable"}
"""
Codes of what may be over by itself in a while: only these are worth another try without a person.

A lock is lost when Postgres is restarted, and dbt cannot run a node when Spark is.
"""


class RekindleError(Exception):
    """Base of the errors we raise on purpose; `exit_code` is what the command line ends with."""

    exit_code = 2

    def __init__(self, what: str, *, todo: str, safe: str = "Nothing was written.", code: str | None = None) -> None:
        self.what, self.todo, self.safe, self.code = what, todo, safe, code
        self.may_pass = code in MAY_PASS
        super().__init__(f"{code + ': ' if code else ''}{what} {todo} {safe}")

    @property
    def told(self) -> dict[str, str | int | None]:
        """The error as plain values, from which `again` makes it in another process."""
        return {"what": self.what, "todo": self.todo, "safe": self.safe, "code": self.code, "exit_code": self.exit_code}


def again(told: Mapping[str, Any]) -> RekindleError:
    """Make an error again from what `RekindleError.told` wrote."""
    kind = CheckFailedError if told["exit_code"] == CheckFailedError.exit_code else InputError
    return kind(told["what"], todo=told["todo"], safe=told["safe"], code=told["code"])


class InputError(RekindleError):
    """Wrong use or input: nothing was written."""


class CheckFailedError(RekindleError):
    """A check or a gate said no: nothing was released, readers keep what they had."""

    exit_code = 1
