"""The connection, the locks and the migrations, on a real Postgres."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import psycopg
import pytest

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.settings import PROJECT, settings
from tests.bad_inputs import bad_input

MONDAY = date(2017, 6, 5)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def impatient(monkeypatch):
    """Retry as often as ever, without the pauses."""
    monkeypatch.setattr(postgres, "RETRY_PAUSES_SECONDS", (0.01, 0.01))


@pytest.fixture
def run_id(database):  # noqa: ARG001 - the run is recorded there
    return records.start_run("daily", Days.between(MONDAY, TUESDAY), dag_run_id="manual__1")


# Migrations


def test_migrating_again_changes_nothing(database):
    catalog = "select oid, relname from pg_class where relnamespace in ('sms'::regnamespace, 'rekindle'::regnamespace)"
    before = sorted(map(str, database.rows(catalog)))

    postgres.migrate()

    assert sorted(map(str, database.rows(catalog))) == before


def test_two_platforms_may_migrate_at_once(empty_database):
    command = [sys.executable, "-c", "from rekindle import postgres; postgres.migrate()"]
    both = [subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}) for _ in range(2)]

    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert empty_database.value("select count(*) from rekindle.migration") == 1


@pytest.mark.usefixtures("migrated_database")  # by whose migration there is the role sms_reader
def test_an_owner_without_other_rights_can_migrate(empty_database, monkeypatch):
    """As on the local platform: the database has its own role, sms_reader was made by an administrator."""
    owner = f"{empty_database.value('select current_database()')}_owner"
    empty_database.execute(f"create role {owner} login password 'secret'")
    empty_database.execute(f"alter database {owner.removesuffix('_owner')} owner to {owner}")
    empty_database.use(monkeypatch, user=owner, password="secret")  # noqa: S106 - a role of this test only

    postgres.migrate()

    assert empty_database.value("select has_table_privilege('sms_reader', 'sms.audience', 'select')")
    empty_database.execute(f"reassign owned by {owner} to current_user")
    empty_database.execute(f"drop owned by {owner}")
    empty_database.execute(f"drop role {owner}")


def test_tables_of_before_may_hold_who_has_been_away_for_longer_than_a_year(empty_database):
    postgres.migrate()
    empty_database.execute("alter table sms.recall_scores add constraint a_year check (lapsed_days between 1 and 365)")
    empty_database.execute("update rekindle.migration set version_num = '0011'")

    postgres.migrate()

    rules = empty_database.rows(
        "select pg_get_constraintdef(oid) as rule from pg_constraint where conrelid = 'sms.recall_scores'::regclass"
    )
    of_lapsed = [row["rule"] for row in rules if "lapsed_days" in row["rule"]]
    assert of_lapsed
    assert not [rule for rule in of_lapsed if "365" in rule]


def test_a_database_of_a_newer_rekindle_is_left_alone(empty_database):
    postgres.migrate()
    empty_database.execute("update rekindle.migration set version_num = '9999'")

    with pytest.raises(InputError, match="newer Rekindle"):
        postgres.migrate()


# Locks


def test_a_locked_table_is_refused_to_others_by_name(database):  # noqa: ARG001 - the lock lives there
    with (
        postgres.table_lock("scores.recall_daily"),
        postgres.table_lock("scores.ltv_daily"),
        pytest.raises(InputError, match=r"scores\.recall_daily") as refused,
        postgres.table_lock("scores.recall_daily", wait_seconds=0.3),
    ):
        pytest.fail("two hold one lock")
    assert refused.value.code == "already_running"

    with postgres.table_lock("scores.recall_daily", wait_seconds=0):
        pass


def test_who_waits_for_a_table_gets_it_when_it_is_free(database):  # noqa: ARG001 - the lock lives there
    held = []

    def work(number):
        with postgres.table_lock("scores.recall_daily"):
            held.append(number)
            assert held.count(number) == 1
            entered = len(held)
            postgres.transact(lambda connection: connection.execute("select pg_sleep(0.1)"))
            assert len(held) == entered, "someone else came in"

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, range(4)))
    assert sorted(held) == [0, 1, 2, 3]


@bad_input("two runs of one day at once", gets="E")
def test_a_day_has_one_run_at_a_time(database):  # noqa: ARG001 - the lock lives there
    with (
        postgres.run_lock(MONDAY),
        postgres.run_lock(TUESDAY),
        pytest.raises(InputError) as refused,
        postgres.run_lock(MONDAY),
    ):
        pytest.fail("two runs of one day")
    assert refused.value.code == "already_running"


def test_a_product_has_one_promotion_at_a_time(database):  # noqa: ARG001 - the lock lives there
    with (
        postgres.promotion_lock("recall"),
        postgres.promotion_lock("ltv"),
        pytest.raises(InputError, match="already_running"),
        postgres.promotion_lock("recall", wait_seconds=0),
    ):
        pytest.fail("two promotions of one product")


def test_the_lock_of_a_killed_process_frees_itself(database):  # noqa: ARG001 - the lock lives there
    code = "from rekindle import postgres\nwith postgres.table_lock('t'): print('held', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError), postgres.table_lock("t", wait_seconds=0):
            pytest.fail("two hold one lock")

        process.send_signal(signal.SIGKILL)

        with postgres.table_lock("t", wait_seconds=10):
            pass


def test_a_lock_that_was_lost_is_noticed_before_a_release(database):
    held = postgres.table_lock("t")
    lock = held.__enter__()
    lock.verify()

    # This database's only: on the same server others hold locks too.
    database.execute(
        "select pg_terminate_backend(pid) from pg_locks join pg_database on pg_database.oid = pg_locks.database"
        " where locktype = 'advisory' and datname = current_database()"
    )

    with pytest.raises(InputError) as when_asked:
        lock.verify()
    with pytest.raises(InputError) as at_the_end:
        held.__exit__(None, None, None)
    assert when_asked.value.code == at_the_end.value.code == "lock_lost"


# Postgres in trouble


@bad_input("a wrong password of Postgres", gets="E")
@pytest.mark.usefixtures("impatient")
def test_a_refused_login_names_host_and_database_and_no_secret(database, monkeypatch):
    database.use(monkeypatch, user="nobody_here", password="hunter2hunter2")  # noqa: S106 - nobody's password

    with pytest.raises(InputError) as refused:
        records.runs(MONDAY)

    name = database.value("select current_database()")
    assert refused.value.code == "postgres_unavailable"
    assert "127.0.0.1" in str(refused.value)
    assert name in str(refused.value)
    assert "nobody_here" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(refused.value.__cause__)


@bad_input("Postgres down", gets="E")
@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_down_is_tried_a_few_times(database, monkeypatch):
    database.use(monkeypatch, port=1, password="hunter2hunter2")  # noqa: S106 - nobody's password
    attempts = []
    connect = psycopg.connect
    monkeypatch.setattr(psycopg, "connect", lambda *args, **options: attempts.append(1) or connect(*args, **options))

    with pytest.raises(InputError, match="port 1, database") as refused:
        records.start_run("daily", Days.one(MONDAY))

    assert len(attempts) == 3
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "postgres//scores:hunter2@host/scores", "postgresql://scores:hunter2@host:x%/s"])
def test_a_url_that_cannot_be_read_is_not_repeated(url, monkeypatch):
    monkeypatch.setenv("REKINDLE_DATABASE_URL", url)
    settings.cache_clear()

    with pytest.raises(InputError, match="REKINDLE_DATABASE_URL") as refused:
        records.runs(MONDAY)

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    settings.cache_clear()


@bad_input("Postgres read-only", gets="E")
@pytest.mark.usefixtures("impatient")
def test_a_read_only_server_is_an_error_that_says_so(empty_database):
    postgres.migrate()
    name = empty_database.value("select current_database()")
    empty_database.execute(f"alter database {name} set default_transaction_read_only to on")

    with pytest.raises(InputError, match="read-only transaction"):
        records.start_run("daily", Days.one(MONDAY))


@bad_input("Postgres full", gets="E")
@pytest.mark.usefixtures("impatient", "database")
def test_a_server_that_is_full_is_tried_a_few_times():
    attempts = []

    def work(connection):
        attempts.append(1)
        connection.execute("do $$ begin raise disk_full using message = 'could not extend file'; end $$")

    with pytest.raises(InputError, match=r"postgres_unavailable: .*could not extend file"):
        postgres.transact(work)
    assert len(attempts) == 3


@bad_input("Postgres slow", gets="E")
@pytest.mark.usefixtures("impatient", "database")
def test_a_server_that_is_slow_is_not_waited_for_for_ever(monkeypatch):
    postgres.disconnect()
    monkeypatch.setitem(postgres.SESSION, "statement_timeout", "100ms")

    with pytest.raises(InputError, match=r"postgres_unavailable: .*statement timeout"):
        postgres.transact(lambda connection: connection.execute("select pg_sleep(30)"))


def test_a_database_that_nobody_migrated_says_what_to_do(empty_database):  # noqa: ARG001 - pointed at
    with pytest.raises(InputError, match="rekindle up"):
        records.runs(MONDAY)


@pytest.mark.usefixtures("impatient")
def test_a_transaction_whose_connection_is_lost_is_done_again_once(database):
    attempts = []

    def work(connection):
        attempts.append(1)
        connection.execute("create table t (n int)")
        if len(attempts) == 1:
            connection.execute("select pg_terminate_backend(pg_backend_pid())")
        return "done"

    assert postgres.transact(work) == "done"
    assert len(attempts) == 2
    assert database.value("select count(*) from t") == 0


def sessions(database):
    """Postgres' processes that serve Rekindle in a database, oldest first."""
    mine = "datname = current_database() and application_name = 'rekindle'"
    found = database.rows(f"select pid from pg_stat_activity where {mine} order by backend_start")
    return [row["pid"] for row in found]


def pid_of(connection):
    return connection.info.backend_pid


def test_a_process_asks_all_its_questions_on_one_connection(database, run_id):
    (pid,) = sessions(database)

    records.finish_run(run_id, "done")
    with records.stage(run_id, MONDAY, "ingest"):
        records.runs(MONDAY)

    assert sessions(database) == [pid]


@pytest.mark.usefixtures("run_id")
def test_a_kept_connection_that_the_server_has_ended_is_opened_again_at_once(database, monkeypatch):
    monkeypatch.setattr(postgres, "RETRY_PAUSES_SECONDS", (600.0,))
    (pid,) = sessions(database)
    database.execute("select pg_terminate_backend(%s)", pid)

    assert [run.kind for run in records.runs(MONDAY)] == ["daily"]
    assert pid not in sessions(database)


@pytest.mark.usefixtures("run_id")
def test_what_goes_wrong_in_a_transaction_is_not_found_by_the_next(database):
    def broken(connection):
        connection.execute("set statement_timeout to '1h'")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        postgres.transact(broken)

    (timeout,) = postgres.transact(lambda connection: connection.execute("show statement_timeout").fetchone())
    assert timeout == "5min"
    assert len(sessions(database)) == 1


@pytest.mark.usefixtures("run_id")
def test_threads_have_a_connection_each_and_leave_one(database):
    together = Barrier(3)

    def work(connection):
        together.wait(timeout=60)
        return pid_of(connection)

    with ThreadPoolExecutor(3) as pool:
        pids = list(pool.map(postgres.transact, [work] * 3))

    assert len(set(pids)) == 3
    assert len(sessions(database)) == 1


@pytest.mark.usefixtures("run_id")
def test_a_forked_process_has_a_connection_of_its_own_and_leaves_the_parents_alone(database):
    """Airflow forks a process for each task."""
    (pid,) = sessions(database)
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, str(postgres.transact(pid_of)).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(read, 20)) != pid
    assert postgres.transact(pid_of) == pid
    assert sessions(database) == [pid]


@pytest.mark.usefixtures("run_id")
def test_another_database_is_asked_on_another_connection(database, monkeypatch):
    database.use(monkeypatch, application_name="elsewhere")

    assert postgres.transact(lambda connection: connection.info.dsn).count("elsewhere") == 1


@pytest.mark.usefixtures("database")
def test_a_process_that_ends_says_goodbye():
    """Python warns of a connection that nobody has closed."""
    code = "from datetime import date; from rekindle import records; records.runs(date(2017, 6, 5))"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=True)

    assert done.stderr == ""


def test_sessions_speak_utc_and_see_what_lock_holders_committed(empty_database):
    name = empty_database.value("select current_database()")
    empty_database.execute(f"alter database {name} set timezone to 'Asia/Tokyo'")
    empty_database.execute(f"alter database {name} set default_transaction_isolation to 'serializable'")

    with postgres.connect() as connection:
        (isolation,) = connection.execute("show transaction_isolation").fetchone()
        (now,) = connection.execute("select timestamptz '2017-06-05T00:00:00Z'").fetchone()

    assert isolation == "read committed"
    assert (now, now.utcoffset()) == (datetime(2017, 6, 5, tzinfo=UTC), timedelta(0))


def test_what_is_undone_is_seen_within_and_never_elsewhere(database):
    run_id = records.start_run("daily", Days.one(MONDAY))
    with postgres.undone():
        records.finish_run(run_id, "failed", "a try")
        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(lambda _: records.find_run(run_id).status, range(8)))
        with pytest.raises(ZeroDivisionError):
            postgres.transact(lambda connection: connection.execute("delete from rekindle.run") and 1 / 0)
        assert told == ["failed"] * 8
        assert records.find_run(run_id).error == "a try"
        assert database.value("select status from rekindle.run") == "running"
    assert records.find_run(run_id).status == "running"


def test_what_was_begun_to_be_undone_is_undone_by_an_error_too(database):
    def broken_off():
        with postgres.undone():
            records.start_run("shadow", Days.one(MONDAY))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert database.rows("select 1 from rekindle.run") == []
