"""Reading YAML by libyaml, which is eight times as fast as Python's own: each process of Airflow reads all declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError


def read(file: Path) -> Any:
    """Return what a file says. Raises yaml.YAMLError where it is none."""
    return loads(file.read_text(encoding="utf-8"))


def loads(text: str) -> Any:
    """Return what a text says. Raises yaml.YAMLError where it is none."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def wrong(error: ValidationError) -> str:
    """Say where a declaration is not what its class asks for, and why; never what was given, which may be a secret."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
