"""Taking permission away on a real Postgres: within the hour, with nothing else running, and never granting."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from bench.published import published as hashes
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.landing.phones import keyed, phone_hmac
from rekindle.landing.zone import LandingZone
from rekindle.permission import taking_away
from rekindle.permission.numbers import names_of
from rekindle.publishing import publish
from rekindle.settings import settings
from tests.rekindle.permission.rows import DAYS, MONDAY, MORNING, given, permission, suppressed
from tests.rekindle.publishing.test_publishing import RECALL, recall

TUESDAY = DAYS[1]
KEY = "a key of tests"
NOON = MORNING + timedelta(hours=9)
PHONES = {"stops": "+447700900001", "shares": "+447700900002", "withdraws": "+447700900002", "stays": "+447700900003"}
PHONES |= {"leaves": "+447700900004", "held": "+447700900005"}
USERS = [*PHONES, "nobody"]


def known(user, **changes):
    phone = PHONES[user]
    hmacs = [keyed(name, KEY) for name in names_of(phone)]
    return permission(user, phone=phone, **({"phone_hmac": hmacs[0], "phone_hmacs": hmacs} | changes))


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """A landing zone, into which a test delivers lines of csv."""
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path / "landing"))
    monkeypatch.setenv("REKINDLE_PHONE_KEY", KEY)
    settings.cache_clear()

    def deliver(folder, *lines, complete=True):
        path = tmp_path / "landing" / folder
        path.mkdir(parents=True, exist_ok=True)
        path.joinpath("part.csv").write_text("\n".join([*lines, ""]))
        if complete:
            path.joinpath("_SUCCESS").touch()
        return path / "part.csv"

    return deliver


@pytest.fixture
def sent_to(audience, landing):  # noqa: ARG001 - settings come first
    audience.publish(USERS, given(*map(known, PHONES)))
    audience.database.execute(
        "update sms.audience set (eligible, suppression_reason, holdout, valid_until, phone_e164, consent_at, consent_source,"
        " policy_version, timezone, send_window_start, send_window_end) ="
        " row(false, 'holdout', true, null, null, null, null, null, null, null, null) where user_id = 'held'"
    )
    audience.database.execute("update rekindle.holdout set is_held_out = true where user_id = 'held'")
    return audience


def take(at=NOON):
    return taking_away.main(records.start_run("permissions", Days.one(MONDAY)), at=at, zone=LandingZone())


CONSENTS = "consent_id,user_id,message_channel,purpose,action,at,source,policy_version"
REPLIES = "reply_id,phone,received_at,text"


def test_what_is_delivered_by_the_hour_is_published_and_nothing_is_granted(sent_to, landing):
    before = sent_to.rows
    landing("replies/day=2017-06-06/hour=10", REPLIES, "r1,07700 900001,2017-06-06T10:20:00Z,Please stop")
    landing("consents/day=2017-06-06/hour=11", CONSENTS, "c1,withdraws,sms,,withdraw,2017-06-06T11:00:00Z,page,")
    landing("consents/day=2017-06-05", CONSENTS, "c2,nobody,sms,marketing,grant,2017-06-05T11:00:00Z,page,3")
    landing("erasures/day=2017-06-06/hour=09", "user_id", "leaves")
    landing("replies/day=2017-06-06/hour=08", REPLIES, "r2,+447700900003,2017-06-06T08:20:00Z,stop", complete=False)
    landing("replies/day=2017-06-06/hour=12", REPLIES, "r3,+447700900003,2017-06-06T12:20:00Z,stop")

    done = take()

    assert sent_to.codes == {
        "stops": "consent_withdrawn",
        "withdraws": "consent_withdrawn",
        "shares": "phone_shared_with_opted_out",
        "leaves": "erased",
        "stays": None,
        "held": "holdout",
        "nobody": "no_consent",
    }
    assert (done.files, done.recorded, done.codes.total(), done.unusable) == (4, 3, 4, {})
    assert done.words == (
        "4 files read, 3 opt-outs, withdrawals and erasures recorded; "
        "not eligible any more: 2 consent_withdrawn, 1 erased, 1 phone_shared_with_opted_out."
    )
    after = sent_to.rows
    assert {user for user in before if after[user] != before[user]} == {"stops", "withdraws", "shares", "leaves"}
    for user in ("stops", "shares"):
        assert after[user]["updated_at"] == after[user]["content_updated_at"] > before[user]["updated_at"]
        assert (after[user]["phone_e164"], after[user]["expected_gain"]) == (None, before[user]["expected_gain"])
    kept = {name for name, value in after["leaves"].items() if value is not None}
    assert not kept & {"return_probability", "percentile", "expected_gain", "segment", "holdout", "reason_1"}

    seen = hashes()
    again = take()
    assert (again.files, again.recorded, again.codes.total(), hashes()) == (0, 0, 0, seen)


def test_a_stop_is_published_by_the_command_while_scoring_is_broken(sent_to, landing, monkeypatch):
    """The day has failed, somebody holds all that it writes, and nobody is there who would be Spark or MLflow."""
    records.finish_run(failed := records.start_run("daily", Days.one(TUESDAY)), "failed", "Spark was gone.")
    monkeypatch.setenv("SPARK_REMOTE", "sc://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    before = sent_to.rows
    landing("replies/day=2017-06-06/hour=10", REPLIES, "r1,07700 900001,2017-06-06T10:20:00Z,STOP")

    with ExitStack() as held:
        for table in ("raw.replies", "permission.opt_outs", "marts.permission", "scores.recall_daily"):
            held.enter_context(postgres.table_lock(table))
        held.enter_context(postgres.run_lock(TUESDAY))
        done = subprocess.run(
            [Path(sys.executable).with_name("rekindle"), "permissions", "--at", NOON.isoformat(), "--json"],
            check=False,
            capture_output=True,
            text=True,
            timeout=50,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["codes"] == {"consent_withdrawn": 1}
    after = sent_to.rows
    assert (before["stops"]["eligible"], after["stops"]["eligible"]) == (True, False)
    assert {user for user in before if after[user] != before[user]} == {"stops"}
    assert records.find_run(failed).status == "failed"


def test_a_stop_is_published_while_a_publish_waits_for_its_rows_and_stays_when_it_goes_on(sent_to, landing):
    landing("replies/day=2017-06-06/hour=10", REPLIES, "r1,07700 900001,2017-06-06T10:20:00Z,STOP")
    scores = recall(USERS, TUESDAY)
    waits, goes_on = threading.Event(), threading.Event()

    def slowly():
        waits.set()
        assert goes_on.wait(50)
        yield from scores.to_batches()

    reader = pa.RecordBatchReader.from_batches(scores.schema, slowly())
    facts = given(*(known(user, day=TUESDAY) for user in PHONES))
    with ThreadPoolExecutor(1) as pool:
        published = pool.submit(
            publish, {RECALL: reader}, TUESDAY, sent_to.run_id, given=facts, at=MORNING + timedelta(days=1)
        )
        try:
            assert waits.wait(50)
            take()
            seen = sent_to.codes["stops"]
        finally:
            goes_on.set()
        published.result(50)

    assert seen == sent_to.codes["stops"] == "consent_withdrawn"
    assert sent_to.codes["stays"] is None
    assert sent_to.rows["stays"]["day"] == TUESDAY


def test_a_day_that_repeats_its_hours_records_nothing_again_and_publishing_says_the_same(sent_to, landing):
    landing("replies/day=2017-06-06/hour=10", REPLIES, "r1,+447700900001,2017-06-06T10:20:00Z,stop")
    take()
    landing("replies/day=2017-06-06", REPLIES, "r1,447700900001,2017-06-06T10:20:00Z,stop")

    done = take(NOON + timedelta(days=1))

    assert (done.files, done.recorded) == (1, 0)
    sent_to.publish(USERS, given(*(known(user, day=TUESDAY) for user in PHONES)), day=TUESDAY)
    assert sent_to.codes["stops"] == "consent_withdrawn", "It stays so before the warehouse knows of it."


def test_what_is_not_renewed_runs_out(sent_to):
    """Valid until Wednesday at noon; who is held out runs out as well, or the arms would drift apart."""
    late = take(MORNING + timedelta(hours=32, minutes=59))
    assert late.codes == {}

    done = take(MORNING + timedelta(hours=33))

    assert done.codes == {"expired": 6}
    assert set(sent_to.codes.values()) == {"expired", "no_consent"}
    sent_to.publish(USERS, given(*(known(user, day=DAYS[2]) for user in PHONES)), day=DAYS[2])
    assert sent_to.codes["stays"] is None


def test_a_broken_file_is_told_once_and_the_others_count(sent_to, landing):
    broken = landing("replies/day=2017-06-06/hour=09", "reply_id,phone")
    broken.write_bytes(b"")
    landing("replies/day=2017-06-06/hour=10", REPLIES, "r1,+447700900001,2017-06-06T10:20:00Z,stop")

    done = take()

    assert sent_to.codes["stops"] == "consent_withdrawn"
    with pytest.raises(CheckFailedError, match=r"replies/day=2017-06-06/hour=09/part.csv: empty_file 1"):
        done.refuse_unusable()
    take().refuse_unusable()
    landing("replies/day=2017-06-06/hour=09", REPLIES, "r0,+447700900003,2017-06-06T09:20:00Z,stop")
    take()
    assert sent_to.codes["stays"] == "consent_withdrawn"


def test_a_later_publish_is_stamped_later_although_the_clock_went_back(sent_to, landing):
    landing("replies/day=2017-06-06/hour=10", REPLIES, "r1,+447700900001,2017-06-06T10:20:00Z,stop")
    sent_to.database.execute("update rekindle.publish_log set published_at = published_at + interval '1 day'")
    take()
    turned = sent_to.rows["stops"]["updated_at"]

    sent_to.publish(USERS, given(*(known(user, day=TUESDAY) for user in PHONES)), day=TUESDAY)

    assert min(row["updated_at"] for row in sent_to.rows.values() if row["day"] == TUESDAY) > turned


def test_hours_of_other_sources_are_files_of_the_day(tmp_path):
    """Who cuts a delivery of events into hours has not delivered them ahead."""
    from rekindle.warehouse import contracts

    zone = LandingZone(str(tmp_path))
    for source in ("events", "replies"):
        for folder in ("", "hour=05"):
            path = tmp_path / source / "day=2017-06-05" / folder
            path.mkdir(parents=True, exist_ok=True)
            header = {"events": "event_id,user_id,occurred_at,type", "replies": REPLIES}[source]
            (path / f"a{folder[-2:]}.csv").write_text(header + "\n")
            (path / "_SUCCESS").touch()

    found = {
        source: [f.name for d in zone.deliveries(contracts.landing_contract(source), Days.one(MONDAY)) for f in d.files]
        for source in ("events", "replies")
    }

    assert found == {"events": ["a.csv", "hour=05/a05.csv"], "replies": ["a.csv"]}
    assert [(part.hour, [f.name for f in zone.files(part)]) for part in zone.parts("replies", MONDAY)] == [
        (5, ["a05.csv"]),
        (None, ["a.csv"]),
    ]
    assert zone.parts("replies", TUESDAY) == []


def test_somebody_known_not_to_be_mobile_stays_so_and_closes_their_phone(audience, landing):
    rows = [suppressed("landline", "not_mobile", phone="+447700900009"), permission("may", phone="+447700900009")]
    audience.publish(["landline", "may"], given(*rows))
    landing("consents/day=2017-06-06/hour=11", CONSENTS, "c1,landline,sms,,withdraw,2017-06-06T11:00:00Z,page,")
    assert phone_hmac("+447700900009", KEY)

    take()

    assert audience.codes == {"landline": "not_mobile", "may": "phone_shared_with_opted_out"}


def test_a_source_that_cannot_be_looked_at_holds_up_no_other(tmp_path):
    """A table whose warehouse is down says so at the end; what others take away is taken away."""
    (tmp_path / "replies" / "day=some day").mkdir(parents=True)
    done = taking_away.Taken(NOON)

    assert taking_away._found(LandingZone(str(tmp_path)), "replies", MONDAY, done) == []
    assert "folder replies/day=some day" in done.unusable["replies"]
    with pytest.raises(CheckFailedError, match=r"unreadable_opt_outs.*replies"):
        done.refuse_unusable()
