"""Who is in office after promotions, rollbacks and repeated trainings: the log and the alias say the same. No servers."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest

from ml import registry
from ml.registry import champions
from ml.registry.versions import Version
from ml.training import trainer
from ml.training.gate import Verdict
from rekindle import records
from rekindle.errors import InputError
from rekindle.records import Gate, Promotion

SUNDAY = date(2026, 11, 15)
AT = datetime(2026, 11, 15, tzinfo=UTC)
PASSED = Verdict(passed=True, why="it ranks better")


@dataclass
class Office:
    """MLflow's aliases and marks, and the promotion log, whose rows are unique as in Postgres."""

    days: dict[str, date]
    log: dict[tuple[str, date, str], Promotion] = field(default_factory=dict)
    alias: Version | None = None
    marked: set[str] = field(default_factory=set)
    served: date | None = None
    held: set[str] = field(default_factory=set)
    """Products that somebody is promoting, or goes back with."""

    def version(self, number: str) -> Version:
        gate = Gate("recall", number, f"d{number}", True, "", {}, None, self.days[number])
        return Version("recall", "m", number, "s", gate)

    def append(  # noqa: PLR0917 - as the log is written
        self, product: str, number: str, digest: str, day: date, reason: str, run_id: str
    ) -> None:
        row = Promotion(len(self.log) + 1, product, number, digest, day, reason, run_id, AT)
        self.log.setdefault((number, day, run_id), row)

    @contextmanager
    def lock(self, product: str) -> Iterator[None]:
        if product in self.held:
            raise InputError("Another process holds it.", todo="Wait.", code="already_running")
        self.held.add(product)
        yield
        self.held.remove(product)

    @property
    def agreed(self) -> str:
        """The champion by log and alias."""
        assert self.alias is not None
        assert records.standing(self.log.values())[-1].version == self.alias.version
        assert not self.marked
        return self.alias.version


@pytest.fixture
def office(monkeypatch) -> Office:
    """Version 4 of a Sunday; 5 of the next, and 6 of the same day."""
    kept = Office({"4": SUNDAY, "5": SUNDAY + timedelta(7), "6": SUNDAY + timedelta(7)})
    for place, name, instead in (
        (records, "append_promotion", kept.append),
        (records, "promotions", lambda _product: list(kept.log.values())),
        (records, "last_served", lambda _table: kept.served),
        (champions, "aliased", lambda _product, _alias: kept.alias),
        (champions, "version_numbered", lambda _product, number: kept.version(number)),
        (champions, "files_of", lambda _version: {}),
        (champions, "is_promoting", lambda _product, found: found.version in kept.marked),
        (champions, "mark", lambda _product, found: kept.marked.add(found.version)),
        (champions, "unmark", lambda _product, found: kept.marked.discard(found.version)),
        (champions, "set_alias", lambda _product, found, _alias: setattr(kept, "alias", found)),
        (champions, "promotion_lock", kept.lock),
        (champions, "acting_as", lambda _role: nullcontext()),
    ):
        monkeypatch.setattr(place, name, instead)
    return kept


@pytest.fixture
def trained(office, recall):
    """A training of a version that passed, which a run of one name may do again: it gets the same version again."""
    return lambda number: trainer.succeeds(recall, office.version(number), PASSED, f"training {number}")


@pytest.mark.parametrize("served", [0, 1])
def test_a_training_that_is_repeated_does_not_undo_a_rollback(office, recall, trained, served):
    """With the same day to be in effect from the log would add no row, with a later one it would."""
    trained("4")
    office.served = SUNDAY + timedelta(7)
    assert trained("5") is None
    registry.rollback(recall, run_id="a person")
    office.served += timedelta(served)

    why_not = trained("5")

    assert why_not is not None and why_not.startswith("it was champion before and is no more")
    assert office.agreed == "4"


def test_who_was_withdrawn_comes_back_by_hand(office, recall, trained):
    trained("4")
    trained("5")
    registry.rollback(recall, run_id="a person")
    registry.promote(recall, "5", run_id="another person", reason="by hand")

    assert trained("5") is None
    assert office.agreed == "5"


def test_a_training_that_is_repeated_does_not_go_back_behind_who_came_after(office, trained):
    """The same day's other version, a calibration of the first perhaps, is in office since."""
    for number in "456":
        assert trained(number) is None

    assert trained("5") is not None
    assert office.agreed == "6"


def test_the_logs_champion_gets_its_place_back_from_an_alias_without_a_verdict(office, trained):
    trained("5")
    office.alias = Version("recall", "m", "9", "s", None)

    assert trained("5") is None
    assert office.agreed == "5"


def test_the_alias_does_not_move_where_the_log_does_not(office, recall, trained):
    """A promotion told again by the same run after a rollback adds no row."""
    trained("4")
    trained("5")
    registry.rollback(recall, run_id="a person")

    with pytest.raises(InputError, match="promoted_before"):
        registry.promote(recall, "5", run_id="training 5", reason="again")
    assert office.agreed == "4"


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda recall, _trained: registry.rollback(recall, run_id="another person"),
        lambda recall, _trained: registry.promote(recall, "4", run_id="another person", reason="by hand"),
        lambda _recall, trained: trained("6"),
    ],
    ids=["rollback", "promote", "training"],
)
def test_while_somebody_goes_back_nobody_else_does_or_promotes(office, recall, trained, monkeypatch, meanwhile):
    """Between what the log said and what is written to it another would take its champion away."""
    for number in "456":
        trained(number)
    refused = []

    def files_of(_version):
        with pytest.raises(InputError, match="already_running"):
            meanwhile(recall, trained)
        refused.append(True)
        return {}

    monkeypatch.setattr(champions, "files_of", files_of)
    registry.rollback(recall, run_id="a person")

    assert refused and office.agreed == "5"


def test_of_two_who_go_back_at_once_one_does(office, recall, trained, monkeypatch):
    """Both mean version 6. The second has to wait, and finds 5 in office, which nobody has called wrong."""
    for number in "456":
        trained(number)
    turns = []

    @contextmanager
    def second_in_line(product: str) -> Iterator[None]:
        if not turns:
            turns.append(product)
            registry.rollback(recall, run_id="who was first")
        with office.lock(product):
            yield

    monkeypatch.setattr(champions, "promotion_lock", second_in_line)
    with pytest.raises(InputError, match="champion_changed"):
        registry.rollback(recall, run_id="who was second")

    assert office.agreed == "5"


def test_a_rollback_in_the_log_before_any_promotion_withdraws_nothing(office, recall):
    office.append("recall", "4", "d4", SUNDAY, records.ROLLBACK, "a run")
    registry.promote(recall, "5", run_id="a person", reason="by hand")

    assert office.agreed == "5"
