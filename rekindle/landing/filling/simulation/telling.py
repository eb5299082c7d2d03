"""Writing the truth down while a business runs: into a folder of its own, outside of everything that jobs read."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet

from rekindle.landing.filling.simulation.reach import reached

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from rekindle.landing.filling.simulation.simulate import Day

FOLDER = "truth"
STAGING = ".writing"
LEDGER = "ledger.parquet"
REACH = "reach.parquet"
EFFECTS = "effects.parquet"
AUCTIONS = "auctions.parquet"
LIKINGS = "likings.parquet"
APPEALS = "appeals.parquet"
FIGURES = ("delivered_rows", "duplicate_rows", "unusable_rows")


@contextmanager
def telling(folder: Path) -> Iterator[Telling]:
    """Write down the truth in a folder, which keeps what it has where a simulation does not come to its end."""
    told = Telling(folder)
    try:
        yield told
    finally:
        # Staged by another simulation, which has the lock of the landing zone, it is not ours to remove.
        if told.has_begun:
            shutil.rmtree(folder / STAGING)


@dataclass
class Telling:
    """Stages the truth of the days that pass, and puts it in place when they all have."""

    folder: Path
    has_begun: bool = False
    _effects: list[pa.Table] = field(default_factory=list)
    _auctions: list[pa.Table] = field(default_factory=list)
    _lines: list[dict[str, object]] = field(default_factory=list)

    def listening(self, days: Iterator[Day]) -> Iterator[tuple[date, Mapping[str, pa.Table]]]:
        """Pass on the deliveries of each day to who has the lock of the landing zone, and write down the truth about it."""
        staging = self.folder / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        self.has_begun = True
        last = None
        for day in days:
            for source, delivered in day.delivered.items():
                figures = (len(delivered.rows), delivered.duplicates, delivered.unusable)
                self._lines.append({"day": day.day, "source": source, **dict(zip(FIGURES, figures, strict=True))})
            if day.truth is not None:
                pa.parquet.write_table(day.truth, staging / f"day={day.day}.parquet")
            if day.effects is not None:
                self._effects.append(day.effects)
            if day.auctions is not None:
                self._auctions.append(day.auctions)
            yield day.day, {source: delivered.rows for source, delivered in day.delivered.items()}
            last = day
        pa.parquet.write_table(pa.Table.from_pylist(self._lines), staging / LEDGER)
        if last is not None:
            pa.parquet.write_table(reached(last.reach), staging / REACH)
        if last is not None and last.choices is not None:
            pa.parquet.write_table(last.choices.likings(), staging / LIKINGS)
            pa.parquet.write_table(last.choices.appeals(), staging / APPEALS)
        for told, name in ((self._effects, EFFECTS), (self._auctions, AUCTIONS)):
            if told:
                pa.parquet.write_table(pa.concat_tables(told), staging / name)

    def publish(self) -> None:
        """Replace what an earlier simulation has told."""
        for old in self.folder.glob("*.parquet"):
            old.unlink()
        staging = self.folder / STAGING
        for new in staging.iterdir():
            new.rename(self.folder / new.name)

    @property
    def ledger(self) -> Mapping[str, Mapping[str, int]]:
        """By source, what was delivered and what ingestion must make of it."""
        sums: dict[str, Counter[str]] = {}
        for line in self._lines:
            sums.setdefault(str(line["source"]), Counter()).update({name: line[name] for name in FIGURES})
        return {source: {name: counts[name] for name in FIGURES} for source, counts in sums.items()}
