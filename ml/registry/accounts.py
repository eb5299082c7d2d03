"""
Who may do what in a team's MLflow: a trainer makes candidates, a promoter chooses among them, a scorer reads.

MLflow's right EDIT on a model lets one make versions and move aliases alike, so candidates and champions are two registered
models. Any account may create models and experiments, so ours are created here, before any other account is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.products import REGISTERED
from ml.registry.acting import PROMOTER, SCORER, TRAINER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from ml.products import Registered

EXPERIMENT, CANDIDATES, CHAMPION = "experiment", "candidates", "champion"

ROLES: Mapping[str, Mapping[str, str]] = {
    TRAINER: {EXPERIMENT: "EDIT", CANDIDATES: "EDIT", CHAMPION: "READ"},
    PROMOTER: {EXPERIMENT: "READ", CANDIDATES: "READ", CHAMPION: "EDIT"},
    # Artifacts belong to the experiment's run.
    SCORER: {EXPERIMENT: "READ", CANDIDATES: "READ", CHAMPION: "READ"},
}
"""What each role has on what belongs to each product."""


def create(tracking_uri: str, passwords: Mapping[str, str]) -> tuple[str, ...]:
    """
    Create accounts, roles and what they are granted on, as the administrator that the environment names.

    `passwords` by role. Run again, it sets the passwords to what they are now. Returns the accounts.
    """
    from mlflow import MlflowClient
    from mlflow.server import get_app_client

    client, accounts = MlflowClient(tracking_uri), get_app_client("basic-auth", tracking_uri=tracking_uri)
    grants = [_belongings(client, product) for product in REGISTERED]
    for role, rights in ROLES.items():
        _account(accounts, role, passwords[role])
        _role(
            accounts, role, [(kind, name, rights[right]) for owned in grants for right, (kind, name) in owned.items()]
        )
    return tuple(ROLES)


def _belongings(client: MlflowClient, product: Registered) -> dict[str, tuple[str, str]]:
    """Create a product's experiment and models where they are missing; kind and name of each, by what they are for."""
    found = client.get_experiment_by_name(product.model_name)
    experiment = found.experiment_id if found else client.create_experiment(product.model_name)
    for model in (product.model_name, product.champion_name):
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model, description=product.title)
    return {
        EXPERIMENT: ("experiment", experiment),
        CANDIDATES: ("registered_model", product.model_name),
        CHAMPION: ("registered_model", product.champion_name),
    }


def _account(accounts: Any, name: str, password: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        accounts.get_user(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        accounts.create_user(name, password)
    else:
        accounts.update_user_password(name, password)


def _role(accounts: Any, name: str, grants: list[tuple[str, str, str]]) -> None:
    """Give the account the role of its name, with exactly these grants."""
    known = {role.name: role for role in accounts.list_roles("default")}
    role = known.get(name) or accounts.create_role(workspace="default", name=name)
    there = {
        (grant.resource_type, grant.resource_pattern, grant.permission): grant.id
        for grant in accounts.list_role_permissions(role.id)
    }
    for grant in set(there) - set(grants):
        accounts.remove_role_permission(there[grant])
    for grant in set(grants) - set(there):
        accounts.add_role_permission(role.id, *grant)
    if role.id not in {held.id for held in accounts.list_user_roles(name)}:
        accounts.assign_role(name, role.id)
