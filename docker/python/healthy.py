"""
Exit code 0 if a part of Airflow is healthy, by what the API server has heard of it: `healthy.py PART`.

A question by HTTP, because Airflow's own `jobs check` starts a whole Airflow each time.
"""

import json
import sys
import urllib.request

PLACE = "http://{}:8080/api/v2/monitor/health"


def main(part: str) -> int:
    host = "127.0.0.1" if part == "metadatabase" else "airflow-api-server"
    with urllib.request.urlopen(PLACE.format(host), timeout=8) as page:  # noqa: S310 - written above
        return json.load(page)[part]["status"] != "healthy"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
