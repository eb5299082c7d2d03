"""The pages about tools: every statement on them runs, as the role of the readers, and every command is one."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from rekindle.cli import app
from rekindle.settings import PROJECT

FOLDER = PROJECT / "docs" / "tools"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
VALUES = {
    ":last_updated_at": "'-infinity'",
    ":last_erased_at": "'-infinity'",
    ":last_user_id": "''",
    ":campaign_id": "'spring'",
    ":user_id": "'42'",
    "{{last_sync_time}}": str(datetime(2017, 6, 1, tzinfo=UTC).timestamp()),
}
MOST_COLUMNS = 50


def blocks(page, language):
    return [block.strip() for block in re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)]


def test_each_tool_has_its_page():
    assert set(PAGES) == {"braze", "customer-io", "sql", "twilio"}
    guide = (PROJECT / "docs" / "for-sms-tools.md").read_text(encoding="utf-8")
    assert all(f"(tools/{page}.md)" in guide for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_statement_of_a_page_runs_for_the_role_of_the_readers(page, database):
    queries = blocks(page, "sql")

    assert queries
    with database.connect() as connection:
        connection.execute("set role sms_reader")
        for query in queries:
            found = connection.execute(re.sub(r"(?<!:):\w+|{{\w+}}", lambda name: VALUES[name[0]], query))
            assert 0 < len(found.description) <= MOST_COLUMNS, query
            assert "select *" not in query


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one(page):
    for line in (line for block in blocks(page, "sh") for line in block.splitlines()):
        program, command, *words = shlex.split(line)
        said = CliRunner().invoke(app, [command, "--help"]).output

        assert program == "rekindle"
        assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", said)), line
