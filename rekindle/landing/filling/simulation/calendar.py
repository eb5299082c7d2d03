"""The calendar of the business: what raises or lowers all users' rates on a day. Known ahead, so the truth counts with it."""

from __future__ import annotations

import calendar as months
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rekindle.landing.filling.simulation import parameters
    from rekindle.landing.filling.simulation.chance import Chance

YEAR_DAYS = 365.25


@dataclass(frozen=True)
class Calendar:
    """Factors of a day, the same for everybody."""

    conf: parameters.Calendar
    chance: Chance

    def rate(self, day: date) -> float:
        """What all rates of activity are multiplied by."""
        turned = 2 * np.pi * (day.timetuple().tm_yday - self.conf.year_peak_day) / YEAR_DAYS
        season = 1 + self.conf.year_swing * np.cos(turned)
        sale = self.conf.sale_rate if self.is_sale(day) else 1.0
        return float(season * self.conf.weekdays[day.weekday()] * sale)

    def purchase(self, day: date) -> float:
        """What the chance that an active user buys is multiplied by."""
        return self.conf.sale_purchase if self.is_sale(day) else 1.0

    def is_sale(self, day: date) -> bool:
        """Whether a sale is on; one of the end of a month goes on into the next."""
        month_before = day.replace(day=1) - timedelta(days=1)
        return any(day in self._sale_days(month.year, month.month) for month in (day, month_before))

    @cached_property
    def _sales(self) -> dict[tuple[int, int], frozenset[date]]:
        return {}

    def _sale_days(self, year: int, month: int) -> frozenset[date]:
        if (year, month) not in self._sales:
            draw = self.chance.stream("calendar", year, month)
            length = months.monthrange(year, month)[1]
            begins = draw.integers(1, length + 1, draw.poisson(self.conf.sale_days_a_month))
            self._sales[year, month] = frozenset(
                date(year, month, int(first)) + timedelta(days=n)
                for first in begins
                for n in range(self.conf.sale_length_days)
            )
        return self._sales[year, month]
