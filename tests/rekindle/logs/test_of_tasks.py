"""What tasks log is redacted by Airflow as it writes it: asked of Airflow itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOGS = """
import structlog, sys
from airflow.sdk.log import logging_processors, upload_to_remote
with open(sys.argv[1], "ab") as file:
    processors = logging_processors(json_output=True)
    logger = structlog.wrap_logger(structlog.BytesLogger(file), processors=processors, logger_name="task").bind()
    logger.info("1,234 rows of 2017-06-01 told to a@b.de by of-the-environment", phone="4915123456789", rows=4915123456789)
    try:
        raise ValueError("postgresql://scorer:x@pg/scores and +49 151 2345678")
    except ValueError:
        logger.exception("failed")
    upload_to_remote(logger)
from airflow.logging_config import get_remote_task_log
from rekindle.logs.of_tasks import redact_event
place = get_remote_task_log()
import copy
copy.copy(place)
assert place.read("a", None) == ([], []) and not hasattr(place, "stream")
class Broken(dict):
    def items(self): raise RecursionError
assert redact_event(None, "info", Broken(level="info", event="a@b.de"))["event"].endswith("RecursionError.")
"""


def test_what_a_task_logs_is_redacted_in_its_file(tmp_path: Path):
    """Also what an error says, which Airflow takes apart; numbers that count stay."""
    file = tmp_path / "attempt=1.log"
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "ITS_PASSWORD": "of-the-environment",
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "rekindle.logs.of_tasks.LOGGING_CONFIG",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", LOGS, str(file)], env=env, check=True, timeout=120)
    told, failed = (json.loads(line) for line in file.read_text().splitlines())

    assert (told["event"], told["phone"]) == ("1,234 rows of 2017-06-01 told to [mail] by [secret]", "[phone]")
    assert (told["rows"], told["level"]) == (4915123456789, "info")
    assert "[secret]@pg/scores and [phone]" in json.dumps(failed)
    assert "scorer" not in json.dumps(failed)
