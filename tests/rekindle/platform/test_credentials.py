from __future__ import annotations

import json
from dataclasses import asdict

from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home


def test_only_the_owner_reads_them(tmp_path):
    credentials(Home(tmp_path))

    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_they_are_generated_once_and_differ_from_each_other(tmp_path):
    first = credentials(Home(tmp_path))

    assert credentials(Home(tmp_path)) == first
    assert len(set(asdict(first).values())) == len(asdict(first))


def test_two_homes_share_none(tmp_path):
    one, other = (asdict(credentials(Home(tmp_path / name))) for name in ("one", "other"))

    assert not set(one.values()) & set(other.values())


def test_one_that_an_older_version_did_not_know_is_added(tmp_path):
    kept = asdict(credentials(Home(tmp_path)))
    (tmp_path / "secrets.json").write_text(json.dumps({"scores": kept["scores"]}))

    assert credentials(Home(tmp_path)).scores == kept["scores"]
    assert set(json.loads((tmp_path / "secrets.json").read_text())) == set(kept)


def test_they_are_not_shown_by_accident(tmp_path):
    secret = credentials(Home(tmp_path))

    assert not any(value in repr(secret) for value in asdict(secret).values())
