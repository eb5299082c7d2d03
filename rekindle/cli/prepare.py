"""Commands that a team's servers need once, and again after each upgrade: databases, buckets, accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rekindle.cli.common import JsonOption, answer, example
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

SecretsOption = Annotated[
    Path, typer.Option(help="Folder with one file for each password, as `make secrets` writes it.")
]
SECRETS = Path("/run/secrets")

STACK_DATABASES = "airflow", "lake", "mlflow", "mlflow_auth", "scores"
"""MLflow keeps its accounts apart."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(
        name="prepare",
        help="Set up a team's servers: what is missing is created, passwords become what the files say.",
        no_args_is_help=True,
    )
    group.command(epilog=example("rekindle prepare databases --host postgres"))(databases)
    group.command(epilog=example("rekindle prepare buckets --endpoint http://store:7070"))(buckets)
    group.command(epilog=example("rekindle prepare registry --uri http://mlflow:5000"))(registry)
    group.command(epilog=example("rekindle prepare pages"))(pages)
    app.add_typer(group)


def databases(
    *,
    host: Annotated[str, typer.Option(help="Where Postgres answers.")] = "postgres",
    port: Annotated[int, typer.Option(help="And its port.")] = 5432,
    secrets: SecretsOption = SECRETS,
    json: JsonOption = False,
) -> None:
    """Create the databases, a role for each, and the roles that only read."""
    from rekindle import granting
    from rekindle.platform import databases as of_postgres

    readers = (*of_postgres.READERS, *(reader.role for reader in granting.READERS))
    passwords = _read(secrets, ("postgres", *STACK_DATABASES, *readers))
    of_postgres.create(host, port, passwords, databases=STACK_DATABASES, readers=readers)
    _answer("databases", (*STACK_DATABASES, *readers), as_json=json)


def buckets(
    *,
    endpoint: Annotated[str, typer.Option(help="Where the object store answers.")] = "http://store:7070",
    secrets: SecretsOption = SECRETS,
    json: JsonOption = False,
) -> None:
    """Create the buckets of landing zone, warehouse and models, and say who may do what in each."""
    from rekindle.platform import buckets as of_store

    _answer("buckets", of_store.create(endpoint, "root", _read(secrets, ["s3_root"])["s3_root"]), as_json=json)


def registry(
    *,
    uri: Annotated[str, typer.Option(help="Where MLflow answers.")] = "http://mlflow:5000",
    secrets: SecretsOption = SECRETS,
    json: JsonOption = False,
) -> None:
    """Create MLflow's models, and the accounts trainer, promoter and scorer with what each may do."""
    import os

    from ml.registry import accounts

    names = {role: f"mlflow_{role}" for role in (*accounts.ROLES, "admin")}
    passwords = _read(secrets, names.values())
    os.environ |= {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": passwords["mlflow_admin"]}
    _answer("registry", accounts.create(uri, {role: passwords[names[role]] for role in accounts.ROLES}), as_json=json)


def pages(*, secrets: SecretsOption = SECRETS, json: JsonOption = False) -> None:
    """Create the accounts of Airflow's pages: viewer, operator, admin."""
    from rekindle.workflow import accounts

    passwords = _read(secrets, [f"airflow_{account}" for account in accounts.ROLES])
    made = accounts.create({account: passwords[f"airflow_{account}"] for account in accounts.ROLES})
    _answer("pages", made, as_json=json)


def _read(folder: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: _secret(folder / name) for name in names}


def _secret(file: Path) -> str:
    if not file.is_file() or not (text := file.read_text(encoding="utf-8").strip()):
        raise InputError(
            f"The secret {file} is missing or empty.",
            todo="Make what is missing with `make secrets`, and start again.",
            safe="Nothing was changed.",
            code="no_secret",
        )
    return text


def _answer(what: str, made: tuple[str, ...], *, as_json: bool) -> None:
    answer({what: made}, as_json=as_json, text=f"Ready: {', '.join(made)}.")
