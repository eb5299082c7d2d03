"""Who may do what in a team's Airflow: a viewer reads, an operator triggers and clears, an administrator configures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLES = {"viewer": "Viewer", "operator": "User", "admin": "Admin"}
"""Our accounts, and the role of FAB that each has. FAB's `Op` may read connections, and with them passwords."""


def create(passwords: Mapping[str, str]) -> tuple[str, ...]:
    """
    Create the accounts; one that is there gets the password of now. `passwords` by account. Returns the accounts.

    Needs the provider `fab` and its auth manager, and its tables: `airflow db migrate`, `airflow fab-db migrate`.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        for name, role in ROLES.items():
            if found := security.find_user(username=name):
                security.reset_password(found.id, passwords[name])
            else:
                security.add_user(name, name, "account", f"{name}@localhost", security.find_role(role), passwords[name])
    return tuple(ROLES)
