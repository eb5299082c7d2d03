"""
`python -m rekindle.logs SERVICE -- COMMAND…`: run a service, and pass on what it logs, redacted, as a JSON object an entry.

It is the first process of a container: it hands signals on to the service, collects what processes leave behind, and ends
with the service's exit code.
"""

from __future__ import annotations

import sys

from rekindle.logs.redaction import own_redactor
from rekindle.logs.service import Service

USAGE = "Usage: python -m rekindle.logs SERVICE -- COMMAND…\n"


def main(arguments: list[str]) -> int:
    """Run the service to its end and return its exit code; 2 where the command is not written like that."""
    match arguments:
        case [name, "--", *command] if command:
            return Service(name, command, own_redactor()).run()
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
