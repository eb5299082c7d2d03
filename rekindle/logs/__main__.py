"""
`python -m rekindle.logs SERVICE -- COMMAND…`: run a service, and pass on what it logs, redacted, as a JSON object an entry.

It is the first process of a container: it hands signals on to the service, collects what processes leave behind, and ends
with the service's exit code.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rekindle.logs.redaction import redactor, secrets_of
from rekindle.logs.service import Service

SECRETS = Path("/run/secrets")
"""Where a container finds what it must not tell."""

USAGE = "Usage: python -m rekindle.logs SERVICE -- COMMAND…\n"


def main(arguments: list[str]) -> int:
    """Run the service to its end and return its exit code; 2 where the command is not written like that."""
    match arguments:
        case [name, "--", *command] if command:
            secrets = secrets_of(os.environ, SECRETS.glob("*"))
            return Service(name, command, redactor(secrets)).run()
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
