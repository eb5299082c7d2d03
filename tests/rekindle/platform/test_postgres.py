from __future__ import annotations

import os
import socket
import subprocess

import psutil
import psycopg
import pytest

from rekindle.platform import databases, delete, postgres
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from tests.rekindle.platform.conftest import connect


@pytest.fixture
def port(home):
    return postgres.start(home, credentials(home).postgres)


@pytest.fixture
def bystander():
    """A program of somebody else."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def data(home):
    return (home.path / "postgres").resolve() / "data"


def postmaster(home):
    return psutil.Process(int((data(home) / "postmaster.pid").read_text().splitlines()[0]))


def pretend_to_be_postgres(home, pid, port):
    (data(home) / "postmaster.pid").write_text(f"{pid}\n{data(home)}\n1700000000\n{port}\n\n127.0.0.1\n\nready\n")


def test_a_second_start_keeps_the_server(home, port):
    before = postmaster(home)

    assert postgres.start(home, credentials(home).postgres) == port
    assert postmaster(home) == before


def test_comes_back_after_a_kill_with_what_was_committed(home, port):
    password = credentials(home).scores
    with connect(port, "scores", password, "scores") as connection:
        connection.execute("create table kept as select 42 as answer")
        connection.commit()

    killed = postmaster(home)
    killed.kill()
    killed.wait(10)
    port = postgres.start(home, credentials(home).postgres)

    with connect(port, "scores", password, "scores") as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_a_pid_that_now_belongs_to_another_program_does_not_fool_it(home, port, bystander):
    postgres.stop(home)
    pretend_to_be_postgres(home, bystander.pid, port)

    assert postgres.running_port(home) is None
    assert postgres.start(home, credentials(home).postgres)
    assert bystander.poll() is None


def test_stop_leaves_another_program_alone_that_has_its_pid(home, port, bystander):
    postgres.stop(home)
    pretend_to_be_postgres(home, bystander.pid, port)

    assert not postgres.stop(home)
    assert bystander.poll() is None


def test_moves_when_its_port_was_taken(home, port):
    postgres.stop(home)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()

        assert postgres.start(home, credentials(home).postgres) != port


def test_answers_on_this_machine_only(home, port):
    listening = [at.laddr for at in postmaster(home).net_connections() if at.status == psutil.CONN_LISTEN]

    assert [(at.ip, at.port) for at in listening] == [("127.0.0.1", port)]


@pytest.mark.parametrize("role", [*databases.DATABASES, "sms_reader", "postgres"])
@pytest.mark.parametrize("password", [None, "", "postgres"])
def test_nobody_logs_in_without_their_password(port, role, password):
    with pytest.raises(psycopg.OperationalError, match="password"), connect(port, role, password, "scores"):
        pass


@pytest.mark.parametrize("role", [*databases.DATABASES, "sms_reader"])
def test_a_role_connects_to_its_own_database_only(home, port, role):
    own = "scores" if role == "sms_reader" else role
    password = getattr(credentials(home), role)

    with connect(port, role, password, own) as connection:
        assert connection.execute("select current_user").fetchone() == (role,)
    for other in {*databases.DATABASES, "postgres", "template1"} - {own}:
        with pytest.raises(psycopg.OperationalError, match="permission denied"), connect(port, role, password, other):
            pass


def test_the_reader_makes_nothing(home, port):
    """Nor where it takes off the guard rail, which is its own to set."""
    with connect(port, "sms_reader", credentials(home).sms_reader, "scores") as connection:
        connection.execute("set default_transaction_read_only to off")
        connection.commit()
        for statement in ("create schema x", "create table public.x (a int)", "create temp table x (a int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.usefixtures("server")
def test_the_reader_has_limits_when_it_logs_in(home, port):
    """Asked of Postgres as that role: nothing is written, and neither a query nor a forgotten session stays for ever."""
    limits = {
        "default_transaction_read_only": "on",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "5min",
        "idle_session_timeout": "1h",
    }
    with connect(port, "sms_reader", credentials(home).sms_reader, "scores") as connection:
        assert {name: connection.execute(f"show {name}").fetchone()[0] for name in limits} == limits


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs Postgres as itself and can enter its own folders")
def test_opens_no_folder_when_its_user_cannot_enter_the_home(tmp_path):
    """Root's private folders stay private; the data go where Postgres' user may be, and go with the home."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    home = Home(private / "home")
    try:
        assert postgres.start(home, credentials(home).postgres)
        elsewhere = (home.path / "postgres").resolve()
        assert elsewhere.is_relative_to(postgres.ELSEWHERE)
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        delete(home.path)
    assert not elsewhere.exists()


def test_a_copy_of_its_programs_runs_without_the_wheel(monkeypatch, tmp_path):
    """Where Postgres' user cannot reach the virtual environment, it runs a copy."""
    monkeypatch.setattr(postgres, "ELSEWHERE", tmp_path)
    copy = postgres._copy(postgres._programs({}).parents[1])

    libraries = subprocess.run(["ldd", copy / "pginstall/bin/initdb"], capture_output=True, text=True, check=True)
    assert str(tmp_path) in libraries.stdout
    assert "not found" not in libraries.stdout


@pytest.mark.usefixtures("port")
def test_names_its_log_when_it_cannot_start(home):
    postgres.stop(home)
    configuration = data(home) / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "max_connections = none\n")
    try:
        with pytest.raises(Exception, match=r"Postgres did not start.*start\.log"):
            postgres.start(home, credentials(home).postgres)
    finally:
        configuration.write_text(good)
