from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from rekindle import cli
from rekindle.cli.common import DayOption, JsonOption, answer, write_csv
from rekindle.errors import CheckFailedError, InputError
from rekindle.settings import PROJECT, known_variables, settings

REKINDLE = Path(sys.executable).with_name("rekindle")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line on a home that holds nothing; returns exit code, stdout, stderr."""
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    settings.cache_clear()

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["rekindle", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    yield run
    settings.cache_clear()


@pytest.fixture
def command(monkeypatch):
    """Add a command for one test."""

    def add(function):
        monkeypatch.setattr(cli.app, "registered_commands", [*cli.app.registered_commands])
        cli.app.command("try")(function)

    return add


def test_help_loads_no_heavy_library():
    loaded = subprocess.run(
        [sys.executable, "-c", "import rekindle.cli, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert not {"pyspark", "pandas", "mlflow", "airflow", "sqlalchemy", "psycopg", "great_expectations"} & set(loaded)


def test_every_command_has_an_example_and_answers_in_json(run):
    groups = [
        (group.name or group.typer_instance.info.name, group.typer_instance) for group in cli.app.registered_groups
    ]
    names = [
        (*beginning, command.name or command.callback.__name__)
        for *beginning, app in ((cli.app,), *groups)
        for command in app.registered_commands
    ]
    assert ("keys", "add") in names
    for parts in names:
        name = " ".join(parts)
        code, said, _ = run(*parts, "--help")

        assert code == 0
        assert f"Example: rekindle {name}" in said, f"{name}: give it epilog=example(…)"
        assert "--json" in said, f"{name}: take JsonOption and end with answer(…)"


@pytest.mark.parametrize(("error", "code"), [(InputError, 2), (CheckFailedError, 1)])
def test_an_error_says_what_happened_what_to_do_and_what_stayed_safe(run, command, error, code):
    def fails():
        raise error("The file is empty.", todo="Deliver it again.", safe="Nothing was written.", code="empty_file")

    command(fails)

    assert run("try") == (code, "", "empty_file: The file is empty.\nDeliver it again.\nNothing was written.\n")


def test_an_error_is_json_where_json_was_asked_for(run, command):
    def fails(*, json: JsonOption = False):
        assert json
        raise InputError("The file is empty.", todo="Deliver it again.", code="empty_file")

    command(fails)
    _, said, _ = run("try", "--json")

    assert json.loads(said)["error"] == {
        "code": "empty_file",
        "what": "The file is empty.",
        "todo": "Deliver it again.",
        "safe": "Nothing was written.",
    }


def test_what_nobody_foresaw_is_one_line_and_a_log(run, command, tmp_path):
    def fails():
        raise ZeroDivisionError("customer 4711")

    command(fails)
    code, said, complaint = run("try")
    (log,) = (tmp_path / "logs").glob("error-*.log")

    assert (code, said) == (2, "")
    assert str(log) in complaint
    assert "Traceback" not in complaint
    assert "4711" not in complaint, "an unforeseen error's own text may hold data"
    assert "ZeroDivisionError: customer 4711" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_setting_that_cannot_be_used_is_named(run, monkeypatch):
    monkeypatch.setenv("REKINDLE_LAPSE_DAYS", "seven")
    code, _, complaint = run("status")

    assert code == 2
    assert "lapse_days" in complaint
    assert "conf/rekindle.yml" in complaint


def test_a_misspelt_setting_is_an_error_with_the_nearest_name(run, monkeypatch):
    monkeypatch.setenv("REKINDLE_LANDNG", "/secret/place")
    code, _, complaint = run("status")

    assert code == 2
    assert complaint.startswith("unknown_setting: Nothing reads the environment variable REKINDLE_LANDNG.")
    assert "Did you mean REKINDLE_LANDING?" in complaint
    assert "secret" not in complaint


@pytest.mark.parametrize(
    "name", ["REKINDLE_DBT_BRANCH", "REKINDLE_SPARK_LOG", "REKINDLE_UI_SERVICE_HOST", "REKINDLE_UI_PORT_80_TCP_ADDR"]
)
def test_what_is_known_beside_settings_is_no_misspelling(run, monkeypatch, name):
    """What we give to dbt and Spark, and what Kubernetes gives to containers beside a service of that name."""
    monkeypatch.setenv(name, "some text")

    assert run("status")[0] == 0


def test_each_variable_that_code_or_documents_name_is_known():
    """A name that is written down here and not known would be refused."""
    sources = [*PROJECT.glob("*.md"), *PROJECT.glob("conf/*"), *PROJECT.glob("docs/**/*.md")]
    rooms = "rekindle", "dbt_project", "dags", "bench", "chaos", "loop", "ml", "quality", "spark_jobs"
    sources += [path for room in rooms for path in (PROJECT / room).rglob("*.*")]
    texts = [
        path.read_text() for path in sources if path.suffix in {".md", ".py", ".yml", ".sql", ".conf", ".properties"}
    ]
    named = {name for text in texts for name in re.findall(r"\bREKINDLE_[A-Z_]*[A-Z]\b", text)}

    assert named - known_variables() == set()
    assert "REKINDLE_LANDING" in named


def test_it_says_which_version_it_is(run):
    assert run("--version")[:2] == (0, f"rekindle {version('rekindle')}\n")


def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_none_in_csv(capsys):
    texts = ["=1+1", "+1", "-1", "@sum", "\t=1", "\uff1d1", "u-1", None]
    write_csv([{"user_id": text, "amount": -0.5} for text in texts])

    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["user_id"] for row in read] == ["'=1+1", "'+1", "'-1", "'@sum", "'\t=1", "'\uff1d1", "u-1", ""]
    assert {row["amount"] for row in read} == {"-0.5"}


def test_homes_that_the_documents_name_are_not_committed():
    texts = [(PROJECT / "README.md").read_text(), *(path.read_text() for path in PROJECT.glob("docs/*.md"))]
    homes = {name for text in texts for name in re.findall(r"REKINDLE_HOME=\$PWD/(\S+)", text)}

    assert homes
    assert homes <= {line.rstrip("/") for line in (PROJECT / ".gitignore").read_text().splitlines()}


@pytest.mark.parametrize("day", ["2026-13-01", "20170601", "yesterday", "2017-6-1"])
def test_a_day_that_is_none_is_refused_with_the_form_it_needs(run, command, day):
    def takes(day: DayOption):
        answer({"day": day}, as_json=True)

    command(takes)
    code, said, complaint = run("try", "--day", day)

    assert (code, said) == (2, "")
    assert day in complaint
    assert "YYYY-MM-DD" in complaint


@pytest.mark.parametrize(
    "words",
    [
        ("import", "orders", "a.csv", "--from", "twilio"),
        ("import", "messages", "a.csv", "--from", "braze", "--day", "2017-06-01"),
        ("export", "campaign", "--for", "csv"),
        ("export", "audience", "spring", "--for", "csv"),
        ("export", "campaign", "spring", "--for", "braze", "--since", "2017-06-01T00:00:00Z,u1"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_done(run, words):
    code, said, complaint = run(*words)

    assert (code, said) == (2, "")
    assert complaint.startswith("usage: ")


def test_a_command_that_does_not_exist_suggests_one_that_does(run):
    code, _, complaint = run("statsu")

    assert code == 2
    assert "status" in complaint


def test_nothing_runs_in_a_home_that_holds_nothing(run, tmp_path):
    code, said, complaint = run("status", "--json")

    assert (code, complaint) == (0, "")
    assert set(json.loads(said)["services"].values()) == {None}
    assert json.loads(said)["home"] == str(tmp_path)
    assert f"Home: {tmp_path}" in run("status")[1]
    assert run("down")[:2] == (0, "Nothing was running.\n")


def test_the_installed_command_is_this_one():
    said = subprocess.run([REKINDLE, "--help"], capture_output=True, text=True, check=True, env=dict(os.environ))

    assert said.stdout.startswith("Usage: rekindle")
    assert said.stderr == ""
