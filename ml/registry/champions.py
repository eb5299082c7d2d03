"""
Who is in office, since when, and which version scores a day.

The alias `champion` says who scores from now on; the promotion log says who scored any day, so that a backfill scores a day
with the model that was in effect.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ml.registry.acting import PROMOTER, acting_as
from ml.registry.versions import aliased, files_of, is_promoting, mark, refuse_failed, set_alias, unmark, versions
from ml.registry.versions import version as version_numbered
from rekindle import records
from rekindle.errors import CheckFailedError, InputError
from rekindle.landing.zone import LandingZone
from rekindle.points import durable
from rekindle.postgres import promotion_lock

if TYPE_CHECKING:
    from datetime import date

    from ml.products import Registered
    from ml.registry.versions import Version
    from rekindle.records import Promotion

CHAMPION = "champion"

TOLD = ("trained_day", "passed", "route", "recalibrates", "why", "digest", "sample_digest", "from_tags", "recorded_at")
"""What an overview says of a verdict; all null where there is none."""


def champion(product: Registered) -> Version:
    """Return the version that scores from now on; its gate has passed."""
    found = find_champion(product)
    if found is None:
        raise InputError(
            f"{product.model_name} has no champion: the alias {CHAMPION!r} is on no version.",
            todo=f"Train one with `rekindle train {product.name} --day D`.",
            safe="Nothing was scored; the last good scores stay.",
            code="no_champion",
        )
    refuse_failed(found)
    return found


def find_champion(product: Registered) -> Version | None:
    """
    Return the version that has the alias, if there is one, whatever its gate said.

    Where a promotion was begun and its process killed, the log has it and the alias not yet: the log holds.
    """
    named = aliased(product, CHAMPION)
    return _begun(product, named) or named


def _begun(product: Registered, named: Version | None) -> Version | None:
    """The version that the log promoted last, if whoever did so never came to the alias; one moved by hand is no such."""
    last = _last_standing(product)
    if last is None or (named and named.version == last.version):
        return None
    logged = version_numbered(product, last.version)
    return logged if is_promoting(product, logged) else None


def _last_standing(product: Registered) -> Promotion | None:
    """The last promotion in the log that no rollback has withdrawn."""
    standing = records.standing(records.promotions(product.name))
    return standing[-1] if standing else None


def finish_begun(product: Registered) -> Version | None:
    """Give the alias to a version whose promotion was begun and not finished; None where there is none."""
    begun = _begun(product, aliased(product, CHAMPION))
    if begun is not None:
        with acting_as(PROMOTER):
            set_alias(product, begun, CHAMPION)
            unmark(product, begun)
    return begun


def has_had_champion(product: Registered) -> bool:
    """Whether a version has, or by our log ever had, the alias."""
    return bool(records.promotions(product.name)) or find_champion(product) is not None


def champion_on(product: Registered, day: date) -> Version | None:
    """Return the version that was in effect for the data of `day`, None before there was any."""
    in_effect = [p for p in records.standing(records.promotions(product.name)) if p.effective_from_day <= day]
    return version_numbered(product, in_effect[-1].version) if in_effect else None


def was_in_office(product: Registered, found: Version) -> bool:
    """
    Whether a version was promoted and is champion no more: withdrawn by a rollback, or followed by another.

    One that stands last in the log is not, where an alias without a verdict, set by hand in MLflow, has taken its place.
    """
    log, in_office = records.promotions(product.name), find_champion(product)
    before = {promotion.version for promotion in log}
    if in_office is None or in_office.gate is None:
        before -= {promotion.version for promotion in records.standing(log)}
    return found.version in before and found != in_office


def in_effect_since(product: Registered, found: Version) -> date:
    """The first day whose data a champion is for; of one that was named in MLflow alone, the day it was trained on."""
    last = _last_standing(product)
    return last.effective_from_day if last and last.version == found.version else found.trained_day


def overview(product: Registered) -> dict[str, Any]:
    """Tell of all versions, the latest first, what the gate said, and of the champions since when each is in effect."""
    in_office, since = find_champion(product), {}
    waits = records.waiting(product.name)
    for promotion in records.standing(records.promotions(product.name)):
        since[promotion.version] = promotion.effective_from_day
    if in_office and in_office.gate:
        since[in_office.version] = in_effect_since(product, in_office)
    return {
        "champion": in_office and in_office.version,
        "waiting": waits and waits.version,
        "versions": [
            {
                "version": found.version,
                "effective_from_day": since.get(found.version),
                **{name: found.gate and getattr(found.gate, name) for name in TOLD},
            }
            for found in versions(product)
        ],
    }


def why_skipped(product: Registered, day: date, *, backfill: bool = False, version: str | None = None) -> str | None:
    """
    Why a product has nothing to say on a day; None where it has to be scored.

    A product that never had a champion is not in use yet, and in a backfill one that had none then was not in use yet:
    no reason to hold the others back. One whose champion is gone is an error, see `model_for`.
    """
    if why := LandingZone().why_unsupplied(product.sources, day):
        return why
    if version is not None or not product.is_trained:
        return None
    if not has_had_champion(product):
        return "no model of it has become champion yet"
    if backfill and champion_on(product, day) is None:
        return f"it had no champion in effect on {day}"
    return None


def model_for(product: Registered, day: date, *, backfill: bool, version: str | None) -> tuple[Version, bool]:
    """
    The version that scores a day, and whether it is another than the one in effect then.

    That is the version named, else the one in effect on the day: the champion, for a day before its time the one before
    it. Where there was none, a daily run takes the champion; a backfill raises InputError `no_champion`.
    """
    if version is not None:
        named = version_numbered(product, version)
        return named, named != champion_on(product, day)
    if not backfill:
        in_office = champion(product)
        if in_effect_since(product, in_office) <= day:
            return in_office, False
    if found := champion_on(product, day):
        return found, False
    if not backfill:
        return in_office, True
    raise InputError(
        f"{product.model_name} had no champion in effect on {day}.",
        todo="Name a version with --model to score the day; its rows are then marked as backfilled.",
        safe="Nothing was scored.",
        code="no_champion",
    )


def told_of(found: Version, *, is_backfilled: bool) -> dict[str, Any]:
    """What each row of a score table says of the version that scored it, by column."""
    return {
        "model_name": found.name,
        "model_version": found.version,
        "model_digest": found.digest,
        "is_backfilled": is_backfilled,
    }


def promote(product: Registered, number: str, *, run_id: str, reason: str) -> Version:
    """
    Make a version champion from the day it was trained on, or from the day after the last that another has served.

    One at a time: whoever decides by the log must find it as it was when writing to it.
    """
    with promotion_lock(product.name):
        return _promoted(product, number, run_id, reason)


def succeed(product: Registered, found: Version, *, run_id: str, reason: str, unless: str | None = None) -> str | None:
    """
    Make a version that its gate let pass champion, as training does; say why not where it is not: `unless`, or as below.

    A training that is repeated finds its version registered. Whoever has withdrawn that meanwhile is not overruled by it.
    """
    with promotion_lock(product.name):
        # Of an attempt that was killed between the log and the alias.
        finish_begun(product)
        in_office = find_champion(product)
        if in_office and in_office.version == found.version:
            return None
        # One that has the alias but no verdict, set by hand in MLflow, keeps nobody from office.
        if in_office and in_office.gate and in_office.trained_day > found.trained_day:
            return (
                f"version {in_office.version}, the champion, was trained as of {in_office.trained_day}, a later day than "
                f"{found.trained_day}"
            )
        if was_in_office(product, found):
            return (
                "it was champion before and is no more: only a person brings it back, with "
                f"`rekindle promote {product.name} {found.version}`"
            )
        if unless is None:
            _promoted(product, found.version, run_id, reason)
    return unless


def _promoted(product: Registered, number: str, run_id: str, reason: str) -> Version:
    chosen = version_numbered(product, number)
    if not chosen.judged.passed:
        raise CheckFailedError(
            f"Version {number} of {product.model_name} did not pass the gate.",
            todo="Promote a version that passed, or train on a longer history.",
            safe="The champion stays as it was.",
            code="gate_not_passed",
        )
    files_of(chosen)
    if finish_begun(product) == chosen:
        return chosen
    last = _last_standing(product)
    # An alias that somebody set in MLflow alone is no champion of ours yet: promoting it writes the log.
    if find_champion(product) == chosen and last and last.version == chosen.version:
        raise InputError(
            f"Version {number} of {product.model_name} is the champion already, since {last.effective_from_day}.",
            todo=f"Name another version: `rekindle models {product.name}` lists them.",
            safe="The champion stays as it was.",
            code="already_champion",
        )
    served = records.last_served(product.table)
    first_open = chosen.trained_day if served is None else max(chosen.trained_day, served + timedelta(1))
    _move(product, chosen, first_open, reason, run_id)
    return chosen


def rollback(product: Registered, *, run_id: str) -> Version:
    """
    Go back to the champion before this one, for all days since this one took effect: it should not have been.

    Whoever waited while another went back meant the champion that is gone already: one wrong champion is withdrawn, not two.
    """
    meant = _last_standing(product)
    with promotion_lock(product.name):
        return _rolled_back(product, run_id, meant)


def _rolled_back(product: Registered, run_id: str, meant: Promotion | None) -> Version:
    promotions = records.promotions(product.name)
    begun = finish_begun(product)
    if begun and promotions[-1].reason == records.ROLLBACK:
        return begun
    standing = records.standing(promotions)
    if standing and (meant is None or standing[-1].version != meant.version):
        raise InputError(
            f"The champion of {product.model_name} has changed meanwhile: version {standing[-1].version} is in office.",
            todo=f"Look at `rekindle models {product.name}`, and roll back again if that one is wrong, too.",
            safe="The champion stays as it is.",
            code="champion_changed",
        )
    if len(standing) < 2:  # noqa: PLR2004 - the one in office and the one before
        raise InputError(
            f"{product.model_name} has no earlier champion to go back to.",
            todo=f"Train with `rekindle train {product.name} --day D`, or promote a version by number.",
            safe="The champion stays as it was.",
            code="no_earlier_champion",
        )
    before, withdrawn = standing[-2:]
    chosen = version_numbered(product, before.version)
    files_of(chosen)
    _move(product, chosen, withdrawn.effective_from_day, records.ROLLBACK, run_id)
    return chosen


def _move(product: Registered, chosen: Version, effective_from_day: date, reason: str, run_id: str) -> None:
    """
    Write the log first: an alias without an entry would score days that no backfill could repeat. It moves as the log says.

    The version is marked in between, so that whoever comes after a killed process goes by the log.
    """
    with acting_as(PROMOTER):
        mark(product, chosen)
        with durable("promotion", product.name):
            records.append_promotion(product.name, chosen.version, chosen.digest, effective_from_day, reason, run_id)
        # One that the log has from an attempt of before adds no row; what came after it in the log would still hold.
        last = _last_standing(product)
        if last is None or last.version != chosen.version:
            unmark(product, chosen)
            raise InputError(
                f"The promotion log of {product.model_name} has this promotion of version {chosen.version}, and later ones.",
                todo=f"Say it as one of its own: `rekindle promote {product.name} {chosen.version}`.",
                safe="The champion stays as it was.",
                code="promoted_before",
            )
        with durable("alias", product.name):
            set_alias(product, chosen, CHAMPION)
        unmark(product, chosen)
