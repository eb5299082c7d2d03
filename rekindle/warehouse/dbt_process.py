"""
dbt in a process of its own, which its caller speaks to in lines of JSON: what to run, and what became of it.

It imports dbt once, parses the project once for the same variables, and runs each command in a fork, with adapters, sessions and
a manifest of its own. With Python's garbage collector off, of which a process of minutes has no need, dbt is imported a fifth
faster. It ends with its caller, whose end of a pipe closes then, and a command ends with it: what goes on would write beside the
next attempt. Run by path and with `-P`, so that dbt is dbt, and not the module beside this one.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import threading
from typing import Any

POLL_SECONDS = 0.02
FAILED, BROKE = 1, 2
"""Exit codes of dbt: what it ran has failed; it could not run."""


def main() -> None:
    """Do what each line asks for until there is no more; what libraries print goes to the file that the line names."""
    gc.disable()
    answers = os.fdopen(os.dup(1), "w")
    variables, manifest = None, None
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.clear()
        os.environ.update(asked["environment"])
        _print_to(asked["output"])
        if variables != asked["variables"]:
            variables, manifest = asked["variables"], _parsed(asked["parse"])
        answers.write(json.dumps({"exit_code": _forked(manifest, asked)}) + "\n")
        answers.flush()


def _parsed(arguments: list[str]) -> Any:
    """The manifest; None of a project that cannot be parsed, which is told once more where it is run."""
    from dbt.cli.main import dbtRunner

    return dbtRunner().invoke(arguments).result


def _forked(manifest: Any, asked: dict[str, Any]) -> int:
    """Run a command in a fork; returns its exit code. Where the caller goes meanwhile, both end."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        threading.Thread(target=lambda: (os.read(ours, 1), os._exit(FAILED)), daemon=True).start()
        os._exit(_run(manifest, asked))
    os.close(ours)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            os.close(theirs)
            return os.waitstatus_to_exitcode(status)
        # Nobody says anything before the answer: what there is to read is the end.
        if select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            os._exit(FAILED)


def _run(manifest: Any, asked: dict[str, Any]) -> int:
    from dbt.cli.main import dbtRunner

    os.chdir(asked["folder"])
    # Without a manifest the project is parsed here once more. dbt's static parser waits for ever in a fork of who has used it:
    # its threads are gone.
    arguments = asked["run"] if manifest is not None else ["--no-static-parser", *asked["run"]]
    done = dbtRunner(manifest).invoke(arguments)
    if done.exception is not None:
        sys.stdout.write(f"{type(done.exception).__name__}: {done.exception}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    return 0 if done.success else BROKE if done.exception is not None else FAILED


def _print_to(file: str) -> None:
    """What is printed from now on, by whatever library, goes to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    output = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


if __name__ == "__main__":
    main()
