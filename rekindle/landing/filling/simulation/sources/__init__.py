"""
The sources of the simulated business, a file each. A further one is a file here and a line in `sources`.

A source draws from streams that begin with its own name, so it changes no row of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.landing.filling.simulation.sources.ad_exposures import AdExposures
from rekindle.landing.filling.simulation.sources.consents import Consents
from rekindle.landing.filling.simulation.sources.contacts import Contacts
from rekindle.landing.filling.simulation.sources.devices import Devices
from rekindle.landing.filling.simulation.sources.events import Events
from rekindle.landing.filling.simulation.sources.items import Items
from rekindle.landing.filling.simulation.sources.messages import Messages
from rekindle.landing.filling.simulation.sources.orders import Orders
from rekindle.landing.filling.simulation.sources.replies import Replies
from rekindle.landing.filling.simulation.sources.users import Users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.landing.filling.simulation.business import Business, Source


def sources(business: Business) -> Sequence[Source]:
    """Begin all of them; what tells of auctions, where these are simulated."""
    of = (Users, Items, Events, Orders, Contacts, Consents, Messages, Replies)
    auctions = business.auctions
    about_auctions = [source(business, auctions) for source in (Devices, AdExposures)] if auctions else []
    return [*(source(business) for source in of), *about_auctions]
