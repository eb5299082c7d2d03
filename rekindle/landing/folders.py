"""
Deliveries as folders of the landing zone: `<source>/day=YYYY-MM-DD/`, complete when `_SUCCESS` is there.

The landing zone is a local folder or any URL that pyarrow's file systems read (s3://, gs://, hdfs:// …). In an object store
folders are no objects, and a request takes longer than a thousand names in its answer: what is asked of many days is
answered by one listing of the source.

Rows are counted here, from the files, by other code than the one that loads them: that is what the law
*delivered = loaded + duplicates + quarantined* is asserted against.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rekindle.days import NotADayError, parse_day
from rekindle.errors import InputError
from rekindle.landing.delivery import Delivery, FoundFile, LandedFile, Part
from rekindle.landing.formats import UnreadableFileError, outline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from pyarrow.fs import FileInfo, FileSystem

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Contract

SUCCESS = "_SUCCESS"
HOUR = re.compile(r"hour=([01]\d|2[0-3])")
UNSEEN = ("_", ".")
"""What a file or folder of a delivery begins with that is nobody's data: markers, and files that are being written."""

FEW_DAYS = 16
"""So many days are listed one by one: a listing of the whole source grows with its history, and a daily run has no use for it."""

THREADS = 8
"""An object store answers so many requests at once as soon as one."""


def opened(url: str) -> tuple[FileSystem, str]:
    """The file system of a landing zone, a folder or a URL, and the path within it."""
    from pyarrow import fs

    return fs.FileSystem.from_uri(url) if "://" in url else (fs.LocalFileSystem(), url)


@dataclass(frozen=True)
class Folders:
    """The folders of one source."""

    source: str
    system: FileSystem
    root: str
    url: str
    """The landing zone as people write it."""

    @property
    def _path(self) -> str:
        return f"{self.root.rstrip('/')}/{self.source}"

    def _folder(self, day: date) -> str:
        return f"{self._path}/day={day}"

    def place(self, day: date) -> str:
        return f"{self.url.rstrip('/')}/{self.source}/day={day}"

    def sign(self, day: date) -> str:
        return f"{self.place(day)}/{SUCCESS}"

    def is_complete(self, day: date) -> bool:
        from pyarrow import fs

        return self.system.get_file_info(f"{self._folder(day)}/{SUCCESS}").type == fs.FileType.File

    def days(self) -> list[date]:
        return _complete(self._by_day())

    def first_day(self) -> date | None:
        """The first complete one: as a rule the first folder is, so this takes two requests however many there are."""
        folders = [day for name in self._folders() if (day := self._day(name))]
        if folders and self.is_complete(min(folders)):
            return min(folders)
        return min(self.days(), default=None) if folders else None

    def look(self, contract: Contract, days: Days) -> list[Delivery]:
        with ThreadPoolExecutor(THREADS) as pool:
            if len(days) <= FEW_DAYS:
                complete = [day for day, there in zip(days, pool.map(self.is_complete, days), strict=True) if there]
                found = dict(zip(complete, pool.map(self._files, map(self._folder, complete)), strict=True))
            else:
                # Complete first, and listed then: a listing is not of one moment, and a file may come while it is made.
                wanted = {*days} & {*self.days()}
                found = {day: files for day, files in self._by_day().items() if day in wanted}
            looked = {day: [pool.submit(self._look, *file) for file in _data(contract, found[day])] for day in found}
            return [
                Delivery(self.source, day, tuple(sorted((file.result() for file in looked[day]), key=lambda f: f.name)))
                for day in sorted(looked)
            ]

    def cells(self, contract: Contract, deliveries: Sequence[Delivery]) -> None:
        """Files are read by Spark's workers, each by its path."""

    def parts(self, since: date) -> list[Part]:
        found = []
        for day, files in self._recent(since).items():
            for name in files:
                *within, last = name.split("/")
                named = HOUR.fullmatch(within[0]) if within else None
                if last == SUCCESS and len(within) <= 1 and (named or not within):
                    path = "/".join([self._folder(day), *within])
                    found.append(Part(self.source, day, int(named[1]) if named else None, path))
        return sorted(found, key=lambda part: (part.is_over_at, part.hour is None))

    def files(self, part: Part) -> list[FoundFile]:
        """Files of a part, by name. Those of hours are no files of their day."""
        return sorted(
            (
                FoundFile(name, info.path, info.size, info.mtime or datetime.fromtimestamp(0, UTC))
                for name, info in self._files(part.path).items()
                if _is_data(name, by_hour=part.hour is None)
            ),
            key=lambda file: file.name,
        )

    def content(self, path: str) -> bytes:
        with self.system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def _day(self, name: str) -> date | None:
        """The day of a folder; None of what is none of a day."""
        if not name.startswith("day="):
            return None
        try:
            return parse_day(name.removeprefix("day="))
        except NotADayError as error:
            raise InputError(
                f"The landing zone has a folder {self.source}/{name}.", todo=f"{error} Rename or remove the folder."
            ) from error

    def _by_day(self) -> dict[date, dict[str, FileInfo]]:
        """All files of the source by day and by their path within it, from one listing."""
        found: dict[date, dict[str, FileInfo]] = defaultdict(dict)
        for name, info in self._files(self._path).items():
            folder, _, within = name.partition("/")
            if within and (day := self._day(folder)):
                found[day][within] = info
        return dict(found)

    def _recent(self, since: date) -> dict[date, dict[str, FileInfo]]:
        """Files of the days from `since` on: a listing of each, where they are few."""
        folders = [day for name in self._folders() if (day := self._day(name)) and day >= since]
        if len(folders) > FEW_DAYS:
            return {day: files for day, files in self._by_day().items() if day >= since}
        return {day: self._files(self._folder(day)) for day in folders}

    def _folders(self) -> list[str]:
        """Names of the source's folders."""
        from pyarrow import fs

        infos = self.system.get_file_info(fs.FileSelector(self._path, allow_not_found=True))
        return [info.base_name for info in infos if info.type == fs.FileType.Directory]

    def _files(self, folder: str) -> dict[str, FileInfo]:
        """Files within a folder, by their path within it."""
        from pyarrow import fs

        infos = self.system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        return {_below(folder, info.path): info for info in infos if info.type == fs.FileType.File}

    def _look(self, name: str, info: FileInfo) -> LandedFile:
        """Digest and columns of a file, and how many rows it holds."""
        content = self.content(info.path)
        digest = hashlib.sha256(content).hexdigest()
        try:
            rows, columns, types = outline(name, content)
        except UnreadableFileError as error:
            return LandedFile(name, info.path, info.size, digest, 1, (), {}, error.reason)
        return LandedFile(name, info.path, info.size, digest, rows, columns, types)


def _complete(found: dict[date, dict[str, FileInfo]]) -> list[date]:
    return sorted(day for day, files in found.items() if SUCCESS in files)


def _data(contract: Contract, files: dict[str, FileInfo]) -> Iterable[tuple[str, FileInfo]]:
    return ((name, info) for name, info in files.items() if _is_data(name, by_hour=contract.lands.by_hour))


def _is_data(name: str, *, by_hour: bool) -> bool:
    """Whether a file of a delivery is somebody's data; those of hours are none of a source that delivers hours ahead."""
    folder, *below = name.split("/")
    is_of_an_hour = by_hour and bool(below) and HOUR.fullmatch(folder) is not None
    return not is_of_an_hour and not any(part.startswith(UNSEEN) for part in (folder, *below))


def _below(folder: str, path: str) -> str:
    """The path of a file within a folder; file systems write the way to the folder in their own manner."""
    marker = f"/{folder.rsplit('/', 1)[-1]}/"
    return f"/{path}".split(marker, f"/{folder}/".count(marker))[-1]
