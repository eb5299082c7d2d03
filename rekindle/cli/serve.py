"""The commands serve and keys: answers over REST, and who may ask."""

from __future__ import annotations

from typing import Annotated

import typer

from rekindle.cli.common import JsonOption, answer, example

MOST_PER_SECOND = 100_000

keys = typer.Typer(help="Keys of those who may ask the service.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle serve --port 8090"))(serve)
    app.add_typer(keys, name="keys")


def serve(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen at; from others keep it behind TLS.")] = "127.0.0.1",
    per_second: Annotated[
        int, typer.Option(min=1, max=MOST_PER_SECOND, help="Requests that a key may send in a second.")
    ] = 200,
    json: JsonOption = False,
) -> None:
    """
    Answer over REST from the published day: scores of a user with their reasons, and scores on request.

    It reads Postgres and nothing else, and goes on while that is away. docs/serving.md says what may be asked.
    """
    from rekindle import platform
    from rekindle.settings import settings
    from serving.running import serve as answering

    if not settings().database_url:
        platform.attach()

    def tell() -> None:
        text = f"Listening at http://{host}:{port}; /ready says when a day has been read. Ctrl-C ends it."
        answer({"host": host, "port": port}, as_json=json, text=text)

    answering(host, port, per_second, tell)


@keys.command(epilog=example("rekindle keys add crm --scope score"))
def add(
    name: Annotated[str, typer.Argument(help="Who asks with it; shown in `rekindle keys list`.")],
    *,
    scope: Annotated[list[str], typer.Option(help="What it may ask for; may be given several times.")],
    json: JsonOption = False,
) -> None:
    """Make a key and print it, once: it is kept nowhere."""
    from rekindle import platform
    from serving import keys as kept

    platform.attach()
    token = kept.add(name, scope)
    answer({"token": token}, as_json=json, text=token)


@keys.command(name="list", epilog=example("rekindle keys list"))
def list_(*, json: JsonOption = False) -> None:
    """Show all keys: who has them, what they may ask for, and which are in force."""
    from rich.table import Table

    from rekindle import platform
    from serving import keys as kept

    platform.attach()
    found = kept.listed()
    table = Table("key", "name", "scopes", "made", "revoked")
    for one in found:
        revoked = f"{one.revoked_at:%Y-%m-%d %H:%M}" if one.revoked_at else ""
        table.add_row(one.key_id, one.name, ", ".join(one.scopes), f"{one.created_at:%Y-%m-%d %H:%M}", revoked)
    answer({"keys": [vars(one) for one in found]}, as_json=json, text=table)


@keys.command(epilog=example("rekindle keys revoke k3v9x2ab"))
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id: the letters after rk_.")], *, json: JsonOption = False
) -> None:
    """Let a key be in force no longer."""
    from rekindle import platform
    from serving import keys as kept

    platform.attach()
    kept.revoke(key)
    answer({"key": key}, as_json=json, text=f"{key} is revoked; the service knows within seconds.")
