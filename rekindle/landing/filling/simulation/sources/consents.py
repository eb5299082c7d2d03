"""Consents: grants at registration, most of them given anew, of several channels and purposes, and withdrawals of them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.chance import pick
from rekindle.landing.filling.simulation.naming import EPOCH, MOST_USERS, ids, numbers
from rekindle.landing.filling.simulation.population import DAY_US, MINUTE_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Business, Today

TIME = pa.timestamp("us", tz="UTC")
FAR_AHEAD = datetime(2199, 1, 1, tzinfo=UTC)
"""A clock that is wrong: after the end of any day."""

GRANTED, RENEWED, EMAIL, ORDERS, WITHDRAWN, REGRANTED, ADS = range(7)
"""What a consent is, in the last digit of its number."""
ASKED = np.array(
    ["sign-up form", "text message", "sign-up form", "checkout", "preference centre", "checkout", "sign-up form"],
    object,
)
"""Where each of these is given."""
LACKING = AT, SOURCE, VERSION = range(3)
"""What an incomplete grant lacks."""
WITHDRAWALS = (("sms", "marketing"), (None, None), ("all", "all"), ("SMS ", "Marketing"), ("sms", ""))
"""How withdrawals of all there is are written: channel and purpose."""


class Consents:
    """Facts of grants and withdrawals."""

    name = "consents"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({"user_id": None, "action": "maybe", "at": FAR_AHEAD})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of what is granted and withdrawn, on the first day also of what was before."""
        users, what = self._on(today)
        reach, conf, chance = self._business.reach, self._business.conf.consents, self._business.chance
        on = np.where(what == GRANTED, reach.granted_on[users], today.day.toordinal())
        on = np.where(np.isin(what, (EMAIL, ORDERS, ADS)), self._business.people.registered_on[users], on)
        keys = ((on - EPOCH) * MOST_USERS + users) * 10 + what
        lot = {
            name: chance.lots(keys.astype("uint64"), self.name, name)
            for name in ("lacks", "what", "named", "form", "untimed")
        }
        at = (on - EPOCH) * DAY_US + np.where(
            (what < WITHDRAWN) | (what == ADS), self._asked_us(users, what), reach.us[users]
        )
        is_withdrawal = what == WITHDRAWN
        lacks = np.where(
            is_withdrawal | (lot["lacks"] >= conf.incomplete_share), -1, (lot["what"] * len(LACKING)).astype(int)
        )
        has_no_time = (lacks == AT) | (is_withdrawal & (lot["untimed"] < conf.untimed_share))
        # Policies have a new version from time to time.
        version = 1 + (on - EPOCH) // conf.policy_days
        table = pa.table(
            {
                "consent_id": ids("c", keys),
                "user_id": ids("u", users),
                "phone": self._named(users, today, (lot["named"] < conf.named_share) & (what == RENEWED)),
                **self._meant(what, lot["form"]),
                "action": pa.array(np.where(is_withdrawal, "withdraw", "grant")),
                "at": pa.array(at, TIME, mask=has_no_time),
                "source": pa.array(ASKED[what], pa.string(), mask=lacks == SOURCE),
                "policy_version": pa.array(version, mask=is_withdrawal | (lacks == VERSION)).cast(pa.string()),
            }
        )
        return Rows(table, keys, numbers(today.day, users, np.zeros(len(users), int), 0))

    def _on(self, today: Today) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Who grants or withdraws today, and which."""
        reach, conf, day = self._business.reach, self._business.conf.consents, today.day.toordinal()
        begins, chance = reach.begins_on == day, self._business.chance
        ads_share = self._business.conf.auctions.consent_share if self._business.auctions else 0.0
        is_other = {
            what: begins & (chance.stream(self.name, name).random(len(begins)) < share)
            for what, name, share in (
                (EMAIL, "email", conf.email_share),
                (ORDERS, "orders", conf.orders_share),
                (ADS, "ads", ads_share),
            )
        }
        chosen = {
            GRANTED: begins & (reach.granted_on <= day),
            RENEWED: reach.renewed_on == day,
            **is_other,
            WITHDRAWN: reach.withdrawn_on == day,
            REGRANTED: reach.regranted_on == day,
        }
        users = [np.flatnonzero(of) for of in chosen.values()]
        what = np.repeat(np.array(list(chosen)), [len(of) for of in users])
        return np.concatenate(users), what

    def _asked_us(self, users: NDArray[np.intp], what: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whoever registers is asked a few minutes later."""
        registered = self._business.people.registered_us[users] + (1 + what) * MINUTE_US
        return np.where(what == RENEWED, self._business.reach.us[users], registered)

    def _named(self, users: NDArray[np.intp], today: Today, is_named: NDArray[np.bool_]) -> pa.Array:
        """Some grants name the number that they were given for."""
        reach, day = self._business.reach, today.day.toordinal()
        return pa.array(
            [reach.sender(user, day) if named else None for user, named in zip(users, is_named, strict=True)],
            pa.string(),
        )

    def _meant(self, what: NDArray[np.int64], form: NDArray[np.float64]) -> dict[str, pa.Array]:
        """Channel and purpose."""
        shares = np.array(self._business.conf.consents.withdrawal_forms)
        which = pick(form, shares)
        meant = {}
        for place, column in enumerate(("message_channel", "purpose")):
            withdrawn = np.array([pair[place] for pair in WITHDRAWALS], object)[which]
            granted = np.array(
                [("sms", "marketing"), ("email", "marketing"), ("sms", "orders"), ("ads", "marketing")], object
            )[:, place]
            of = np.select([what == EMAIL, what == ORDERS, what == ADS], [1, 2, 3], 0)
            meant[column] = pa.array(np.where(what == WITHDRAWN, withdrawn, granted[of]), pa.string())
        return meant
