"""Auctions of ads: who is shown one returns as much more often as the truth says, and nothing else changes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rekindle.bidding import log
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.experiments.estimates import difference
from rekindle.experiments.sums import sums_of
from rekindle.landing.filling.simulation.auctions import MILLIONTHS, caused
from rekindle.landing.filling.simulation.business import Assigned, Business
from rekindle.landing.filling.simulation.lives import Lives
from rekindle.landing.filling.simulation.parameters import Parameters, parameters
from rekindle.landing.filling.simulation.simulate import Sending, days_of, simulate

FIRST = date(2024, 1, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(days=13))
USERS = 500
SIGMAS = 4


def asking(**changed: object) -> Parameters:
    """Auctions on, nothing late, repeated or spoilt, so that each fact is there once."""
    conf = parameters().adding("auctions")
    punctual = conf.delivery.model_copy(update={"late_share": 0.0, "repeated_share": 0.0, "invalid_share": 0.0})
    auctions = conf.auctions.model_copy(update=changed)
    return conf.model_copy(update={"delivery": punctual, "auctions": auctions})


@dataclass(frozen=True)
class Trial:
    """Users of a big business who were asked for, once each, and whether they returned in their life and in one without ads."""

    told: pa.Table
    returned: np.ndarray
    returned_without: np.ndarray

    def of(self, strategy: str) -> np.ndarray:
        return pc.equal(self.told["strategy"], strategy).to_numpy(zero_copy_only=False)


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Both lives have the same lots, and nothing of them is delivered. Most users are asked for twice."""
    days, conf = Days.between(FIRST, FIRST + timedelta(days=20)), asking(asked_share=1.0)
    lives = replace(Lives.begin(Business.of(conf, 12_000, days)), sources=())
    told, active, without = [], [], []
    for day in days:
        assert lives.business.auctions is not None
        asked = lives.business.auctions.asked(day)
        if day < FIRST + timedelta(days=14):
            told.append(caused(lives, day, asked))
        assert not list(lives.live(day, Assigned(), asked))
        active.append(lives.state.was_active.copy())
        without.append((lives.unsent or lives.state).was_active.copy())
    table = pa.concat_tables(told)
    users = pc.utf8_slice_codeunits(table["user_id"], 1).cast(pa.int64()).to_numpy()
    at = (table["day"].cast(pa.int32()).to_numpy() + date(1970, 1, 1).toordinal()) - FIRST.toordinal()
    window = at[:, None] + np.arange(conf.truth.return_days)
    lived = [np.array(life)[window, users[:, None]].any(axis=1) for life in (active, without)]
    return Trial(table, *lived)


def test_they_are_off_unless_they_are_asked_for(rekindle, zone):
    """What was published of the business stands: test_simulate holds its rows to what they were."""
    assert not parameters().auctions.is_on
    told = rekindle("simulate", "--users", 20, "--days", 2)

    assert not {"devices", "ad_exposures"} & set(told["sources"])
    assert not list(zone.glob("devices")) and not list(zone.glob("ad_exposures"))


@pytest.mark.parametrize("strategy", ["flat", "linear", "control"])
def test_each_strategy_causes_what_the_truth_says(trial: Trial, strategy: str):
    """Against the same users without any ad: what differs between the two lives is what ads have done."""
    of = trial.of(strategy)
    differs = trial.returned[of].astype(int) - trial.returned_without[of]
    expected = trial.told["caused"].to_numpy()[of].sum()

    assert of.sum() > 3000
    if strategy == "control":
        assert not differs.any() and expected == 0
    else:
        assert expected > 30
        assert abs(differs.sum() - expected) < SIGMAS * np.sqrt(np.abs(differs).sum())


@pytest.mark.parametrize("strategy", ["flat", "linear"])
def test_an_experiment_against_the_controls_finds_what_the_truth_says(trial: Trial, strategy: str):
    """Everybody who was asked for counts, shown an ad or not; users are what was drawn."""
    users = pc.utf8_slice_codeunits(trial.told["user_id"], 1).cast(pa.int64()).to_numpy()
    of, control = trial.of(strategy), trial.of("control")
    found = difference(*(sums_of(trial.returned[arm].astype(float), cluster=users[arm]) for arm in (of, control)))

    assert abs(found.value - trial.told["caused"].to_numpy()[of].mean()) < SIGMAS * found.error


def test_most_come_anyway_or_not_at_all_and_some_are_moved(trial: Trial):
    uplift = trial.told["uplift"].to_numpy()

    assert (uplift == 0).mean() > 0.5
    assert uplift.max() > 0.1
    assert (uplift < 0).any()


def test_prices_follow_what_is_predicted_as_on_real_logs(trial: Trial):
    """.41 on iPinYou: docs/bidding.md. And predictions are right in the mean, without being the truth."""
    told = {name: trial.told[name].to_numpy() for name in ("predicted", "market_price", "click_probability", "uplift")}

    assert np.corrcoef(told["predicted"], told["market_price"])[0, 1] == pytest.approx(0.41, abs=0.06)
    assert told["predicted"].mean() == pytest.approx(told["click_probability"].mean(), rel=0.03)
    assert 0.6 < np.corrcoef(told["predicted"], told["click_probability"])[0, 1] < 0.98
    # Who clicks is not who is moved.
    assert abs(np.corrcoef(told["predicted"], told["uplift"])[0, 1]) < 0.15


def test_as_many_click_as_the_truth_says(trial: Trial):
    clicked, probability = (
        trial.told[name].to_numpy(zero_copy_only=False) for name in ("clicked", "click_probability")
    )

    assert abs(clicked.sum() - probability.sum()) < SIGMAS * np.sqrt((probability * (1 - probability)).sum())


def test_each_is_of_one_strategy_and_asked_for_at_most_once_while_a_return_is_awaited(trial: Trial):
    told = trial.told.select(["user_id", "day", "strategy"]).group_by("user_id")
    told = told.aggregate([("strategy", "count_distinct"), ("day", "min"), ("day", "max"), ("day", "count")])
    twice = told.filter(pc.equal(told["day_count"], 2))
    apart = pc.days_between(twice["day_min"], twice["day_max"])

    assert pc.max(told["strategy_count_distinct"]).as_py() == 1 and pc.max(told["day_count"]).as_py() == 2
    assert len(twice) > 1000 and pc.min(apart).as_py() == parameters().truth.return_days


@dataclass(frozen=True)
class Delivered:
    rows: dict[str, pa.Table]
    told: pa.Table


@pytest.fixture(scope="module")
def delivered() -> Delivered:
    return deliver(asking())


def deliver(conf: Parameters, users: int = USERS) -> Delivered:
    parts, told = defaultdict(list), []
    for day in days_of(users, DAYS, conf=conf):
        for source, arrived in day.delivered.items():
            parts[source].append(arrived.rows)
        told += [day.auctions] if day.auctions is not None else []
    return Delivered(
        {source: pa.concat_tables(tables) for source, tables in parts.items()},
        pa.concat_tables(told) if told else pa.table({}),
    )


def test_nobody_else_does_anything_else(delivered: Delivered):
    """Rows of who is shown no ad are those of a business without auctions, byte for byte."""
    conf = asking()
    quiet = deliver(conf.model_copy(update={"auctions": conf.auctions.model_copy(update={"is_on": False})}))
    shown = delivered.told.filter(delivered.told["is_shown"])["user_id"].combine_chunks()

    assert len(shown) > 20
    for source, rows in quiet.rows.items():
        both = rows, delivered.rows[source]
        if source in {"events", "orders"}:
            both = tuple(one.filter(pc.invert(pc.is_in(one["user_id"], shown))) for one in both)
        if source == "consents":
            # Who is asked about ads agrees to them, beside all else.
            both = tuple(one.filter(pc.not_equal(pc.fill_null(one["message_channel"], ""), "ads")) for one in both)
        assert both[0].equals(both[1]), source
    assert not quiet.rows["events"].equals(delivered.rows["events"])


def test_a_second_price_auction_is_told_as_it_went(delivered: Delivered):
    rows = delivered.rows["ad_exposures"].join(delivered.told, "request_id", right_suffix=" told", join_type="inner")
    is_control = [strategy == "control" for strategy in rows["strategy"].to_pylist()]

    assert len(rows) == len(delivered.told) == len(delivered.rows["ad_exposures"]) > 200
    assert not pc.any(pc.is_null(rows["bid"])).as_py()
    for row, control in zip(rows.to_pylist(), is_control, strict=True):
        price = round(row["market_price"] * MILLIONTHS)
        bid = int(row["bid"] * MILLIONTHS)
        assert row["won"] == row["is_shown"] == (bid >= price and bid > 0)
        assert (row["price"] is None) == (not row["won"]) and (
            not row["won"] or int(row["price"] * MILLIONTHS) == price
        )
        assert row["clicked"] == (row["won"] and row["clicked told"])
        assert not control or (bid == 0 and not row["won"])
    assert {"flat", "linear", "control"} == set(rows["strategy"].to_pylist())


def test_devices_lead_from_requests_to_users(delivered: Delivered):
    """By hashes of ids that are nobody's: made up, each of one user."""
    devices, told = delivered.rows["devices"], delivered.told
    owner = dict(zip(devices["id_hash"].to_pylist(), devices["user_id"].to_pylist(), strict=True))
    of = dict(zip(told["request_id"].to_pylist(), told["user_id"].to_pylist(), strict=True))
    requests = delivered.rows["ad_exposures"].select(["request_id", "id_hash", "id_type"]).to_pylist()
    kind = dict(zip(devices["id_hash"].to_pylist(), devices["id_type"].to_pylist(), strict=True))

    assert len(owner) == len(devices)
    assert all(owner[row["id_hash"]] == of[row["request_id"]] for row in requests)
    assert all(kind[row["id_hash"]] == row["id_type"] for row in requests)
    assert all(len(one) == len(hashlib.sha256().hexdigest()) for one in owner)
    assert pc.count_distinct(devices["user_id"]).as_py() == pytest.approx(0.8 * USERS, rel=0.1)
    assert set(kind.values()) == {"gaid", "idfa"}


def test_more_users_change_nothing_about_the_others(delivered: Delivered):
    more = deliver(asking(), USERS + 100)
    first = pc.less(pc.utf8_slice_codeunits(more.told["user_id"], 1).cast(pa.int64()), USERS)

    assert more.told.filter(first).equals(delivered.told)


def test_the_command_writes_the_same_bytes_and_a_log_to_replay(rekindle, zone, files, tmp_path):
    command = ("simulate", "--users", 300, "--days", 7, "--auctions", "--choices", "--truth")
    told = rekindle(*command, tmp_path / "truth")
    first = zone.rename(tmp_path / "first")
    rekindle(*command, tmp_path / "again")
    auctions = pq.read_table(tmp_path / "truth" / "auctions.parquet")

    assert files(zone) == files(first) and files(tmp_path / "truth") == files(tmp_path / "again")
    assert told["sources"]["ad_exposures"]["rows"] >= len(auctions) - 10 > 50
    assert len(log.read(tmp_path / "truth" / "auctions.parquet")) == len(auctions)


@pytest.mark.usefixtures("zone")
def test_ads_and_messages_are_refused_together(tmp_path):
    with pytest.raises(InputError, match="not simulated together"):
        simulate(50, DAYS, tmp_path / "truth", sending=Sending(campaigns=True), conf=asking())
