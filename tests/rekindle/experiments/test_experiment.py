"""`rekindle experiment`: a plain table in, what it caused out."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from rich.console import Console, Group

from rekindle.cli import learners
from rekindle.errors import InputError
from rekindle.experiments.analysis import analyse
from rekindle.experiments.table import Asked, read
from rekindle.progress import SILENT
from rekindle.settings import settings
from tests.command_line import rekindle

UNITS = {
    "unit": [f"u{n}" for n in range(40)],
    "arm": ["control", "sent"] * 20,
    "came": [0, 1, 0, 0, 1, 1, 0, 1] * 5,
    "score": [0.1, 0.2, 0.3, 0.1] * 10,
}


@pytest.fixture
def table(tmp_path):
    """Write a table like UNITS, with some columns replaced or, where None, left out."""

    def write(name: str = "test.csv", **columns):
        path = tmp_path / name
        written = pa.table({name: values for name, values in (UNITS | columns).items() if values is not None})
        (parquet.write_table if name.endswith(".parquet") else csv.write_csv)(written, path)
        return path

    return write


def refused(path, **asked) -> str:
    with pytest.raises(InputError) as error:
        read(path, Asked(**({"outcomes": ["came"]} | asked)))
    assert "u1" not in str(error.value).split(), "an error names no unit"
    return error.value.code


def test_hillstroms_experiment_is_what_it_is_known_to_be():
    path = settings().data and settings().data / "hillstrom_data.csv"
    if not path or not path.is_file():
        pytest.skip("Hillstrom's data are not on this machine: REKINDLE_DATA names the folder")
    asked = Asked(["visit", "spend"], arm="segment", control="No E-Mail")
    visit, spend = (
        next(c for c in of.comparisons if c.arm == "Womens E-Mail") for of in analyse(read(path, asked), asked).outcomes
    )

    assert visit.effect.value == pytest.approx(0.0452, abs=5e-5)
    assert visit.interval == pytest.approx((0.0389, 0.0516), abs=5e-5)
    assert spend.effect.value == pytest.approx(0.424, abs=5e-4)
    assert spend.interval == pytest.approx((0.169, 0.680), abs=5e-4)


def test_the_command_answers_for_people_and_for_programs(table):
    path = str(table())
    told = rekindle("experiment", path, "--outcome", "came", "--covariate", "score", "--json")
    shown = rekindle("experiment", path, "--outcome", "came")
    effect = json.loads(told.stdout)["outcomes"]["came"]["effects"]["sent"]

    assert (told.returncode, shown.returncode) == (0, 0)
    assert effect["without_covariate"]["effect"] == pytest.approx(0.5)
    assert "more than the control" in shown.stdout


def test_sizes_that_were_not_planned_end_the_command_with_1(table):
    done = rekindle("experiment", str(table()), "--outcome", "came", "--share", "control=0.05", "--share", "sent=0.95")

    assert done.returncode == 1
    assert "Read no effect from it" in done.stdout


def test_csv_and_parquet_say_the_same(table):
    asked = Asked(["came"], unit="unit", covariate="score")

    assert analyse(read(table(), asked), asked) == analyse(read(table("test.parquet"), asked), asked)


def test_an_experiment_without_a_control_is_refused_by_name(table):
    assert refused(table(arm=["a", "b"] * 20)) == "no_control"
    assert refused(table(), control="nobody") == "no_control"
    assert refused(table(arm=["control"] * 40)) == "no_treatment"


@pytest.mark.parametrize(
    ("columns", "asked", "code"),
    [
        ({"came": None}, {}, "no_such_column"),
        ({"came": ["yes"] * 40}, {}, "not_numbers"),
        ({"came": [None, *[1] * 39]}, {}, "empty_cells"),
        ({"came": [float("nan"), *[1.0] * 39]}, {}, "empty_cells"),
        ({"arm": [None, *UNITS["arm"][1:]]}, {}, "no_control"),
        ({"unit": ["u1"] * 40}, {"unit": "unit"}, "repeated_unit"),
        ({"phone": ["p1"] * 40}, {"cluster": "phone"}, "torn_cluster"),
        ({}, {"shares": {"control": 1.0}}, "usage"),
        ({name: [] for name in UNITS}, {}, "no_rows"),
    ],
)
def test_what_cannot_be_analysed_is_refused_by_name(table, columns, asked, code):
    name = "test.csv" if code != "no_control" else "test.parquet"
    expected = "empty_cells" if code == "no_control" else code

    assert refused(table(name, **columns), **asked) == expected


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")

    assert refused(tmp_path / "broken.parquet") == "unreadable"
    assert refused(tmp_path / "none.csv") == "no_file"


def test_gaps_in_a_covariate_get_the_mean_and_are_told(table):
    asked = Asked(["came"], covariate="score")
    units = read(table("test.parquet", score=[None, *UNITS["score"][1:]]), asked)

    assert units.covariate[0] == pytest.approx(units.covariate[1:].mean())
    assert units.notes == ("1 units have no score; they got the mean, which biases nothing.",)


def test_segments_are_corrected_together_and_small_ones_are_not_shown(table):
    asked = Asked(["came"], segment="city")
    found = analyse(read(table(city=["oslo"] * 30 + ["rome"] * 10), asked), asked)
    (of,) = found.outcomes

    assert list(of.segments) == ["oslo"]
    assert found.small_segments == 1


def test_a_first_of_two_looks_needs_more_than_the_last(table):
    path = table()
    early, late = (
        analyse(read(path, asked), asked).outcomes[0].comparisons[0].interval
        for asked in (Asked(["came"], looks=looks) for looks in ([0.5], [0.5, 1.0]))
    )

    assert early[1] - early[0] > late[1] - late[0]
    assert rekindle("experiment", str(path), "--outcome", "came", "--look", "1", "--look", "0.5").returncode == 2


def test_money_has_its_ratio(table):
    asked = Asked(["came"], cost="cost")
    ((paid,),) = (of.paid for of in analyse(read(table(cost=[0, 0.5] * 20), asked), asked).outcomes)

    assert paid.cost_per_outcome.value == pytest.approx(1.0)
    assert paid.outcome_per_cost.value == pytest.approx(1.0)


# Learners


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """Units of whom a message moves those who like offers, and nobody else."""
    lots = np.random.default_rng(0)
    likes, sent = lots.random(4_800) < 0.4, np.arange(4_800) % 2 == 0
    table = pa.table(
        {
            "arm": np.where(sent, "sent", "control"),
            "came": (lots.random(4_800) < 0.1 + 0.3 * (likes & sent)).astype(int),
            "rarely": (np.arange(4_800) % 500 < 2).astype(int),
            "likes_offers": likes,
            "age": pa.array(lots.integers(18, 80, 4_800), mask=lots.random(4_800) < 0.1),
            "city": lots.choice(["oslo", "rome"], 4_800),
        }
    )
    path = tmp_path_factory.mktemp("trial") / "trial.parquet"
    parquet.write_table(table, path)
    return path


def learnt(path, **asked):
    asked = Asked(**({"outcomes": ["came"], "features": ["likes_offers", "age", "city"]} | asked))
    units = read(path, asked)
    return learners.compared(units, analyse(units, asked).ratio, 2, SILENT)


def test_the_learners_table_says_who_tells_whom_a_message_moves(trial):
    (found,) = learnt(trial, rules=["age", "likes_offers"])
    entries = learners.told([found])["learners"]["sent"]["outcomes"]["came"]["learners"]
    by_name = {entry["name"]: entry for entry in entries}
    shown = Console(width=250, file=io.StringIO())
    shown.print(Group(*learners.text([found])))

    assert set(by_name) == {"constant", "doubly_robust", "t_logistic", "t_boosting", "response", "age", "likes_offers"}
    assert by_name["t_logistic"]["uplift_30"]["value"] == pytest.approx(0.3, abs=0.06)
    assert by_name["constant"]["uplift_30"]["value"] == pytest.approx(0.12, abs=0.03)
    assert "less than their error" in shown.file.getvalue()


def test_too_few_units_are_said_to_be_too_few(trial):
    (found,) = learnt(trial, outcomes=["rarely"])

    assert found.contests == {"rarely": None}
    assert "too few" in " ".join(map(str, learners.text([found])))


def test_without_features_no_learner_is_asked(trial):
    assert learnt(trial, features=[]) == []
    assert learners.told([]) == {}


def test_arms_that_differ_in_what_was_known_before_end_the_command_with_1(tmp_path):
    units = {
        "arm": ["control", "sent"] * 200, "came": [0, 1] * 200, "old": [n % 2 * (n % 10 > 3) for n in range(400)],
    }  # fmt: skip
    csv.write_csv(pa.table(units), tmp_path / "units.csv")
    done = rekindle("experiment", str(tmp_path / "units.csv"), "--outcome", "came", "--feature", "old")

    assert done.returncode == 1
    assert "Read no effect from it" in done.stdout


@pytest.mark.parametrize("later", [{"features": ["came"]}, {"rules": ["arm"]}])
def test_what_was_not_known_before_is_nothing_to_learn_from(table, later):
    assert refused(table(), **later) == "usage"
