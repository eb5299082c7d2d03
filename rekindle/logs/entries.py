"""From what a service writes to its entries: bytes to lines, lines to entries, an entry to a JSON object."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rekindle.logs.redaction import redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LONGEST_LINE_BYTES = 32 * 1024
"""What a line has beyond that is left out: nobody reads it, and a broken service must not fill the memory with it."""

CUT_BACK_CHARACTERS = 256
"""Where a line is cut, half a secret looks like none, so that much before the cut goes with it."""

MOST_LINES = 500
"""Of one entry. The next line begins another."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIME = re.compile(
    r"\[?(?P<time>\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
    r"|\d\d/\d\d/\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d(?:[.,]\d+)?)\]?[ \t]*"
)
_LEVEL_WORD = (
    r"(?:(?P<upper>TRACE|DEBUG|INFO|LOG|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|CRIT|ALERT|EMERG|FATAL|PANIC)"
    r"|\[(?P<lower>debug|info|notice|warn|warning|error|critical|crit|alert|emerg|fatal)\s*\])(?![\w/.-])"
)
_FIRST_WORD_IS_LEVEL = re.compile(rf"\[?{_LEVEL_WORD}")
_LEVEL = re.compile(rf"(?:\S+[ \t]+){{0,2}}?[\[(<]?{_LEVEL_WORD}")
"""Behind the time and at most two words, such as the process and the logger. Further on it is a word of a sentence."""

_LEVELS = {
    "trace": "debug",
    "log": "info",
    "notice": "info",
    "warn": "warning",
    "severe": "error",
    "crit": "critical",
    "alert": "critical",
    "emerg": "critical",
    "fatal": "critical",
    "panic": "critical",
}
"""Levels under another name here: debug, info, warning, error, critical."""

_TRACEBACK = re.compile(r"\s*(?:[+|] ?)*\s*(?:Exception Group )?Traceback \(most recent call last\)|\s+at [\w.$]+[(/]")
_GOES_ON = re.compile(
    r"\s|Traceback \(most recent call last\)|Caused by: |Suppressed: |During handling of the above|The above exception was|$"
    # Java's first line of a stack trace, which no line of a logger's own begins like.
    r"|(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable)(?:: |$)"
)

_TIMES, _MESSAGES = ("time", "timestamp", "ts", "@timestamp"), ("message", "event", "msg")
"""What loggers that write JSON call the two."""


class Lines:
    """Bytes as they come, cut into lines."""

    def __init__(self) -> None:
        self._rest, self._left_out = b"", 0

    def take(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are whole now. Bytes that are no UTF-8 are shown as such, and long lines are cut."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield self._line()
        self._add(rest)

    def end(self) -> Iterator[str]:
        """Yield the last line if it had no end."""
        if self._rest:
            yield self._line()

    def _add(self, piece: bytes) -> None:
        room = LONGEST_LINE_BYTES - len(self._rest)
        self._rest += piece[:room]
        self._left_out += max(0, len(piece) - room)

    def _line(self) -> str:
        line, left_out = self._rest.decode("utf-8", errors="backslashreplace").rstrip("\r"), self._left_out
        self._rest, self._left_out = b"", 0
        return f"{line[:-CUT_BACK_CHARACTERS]} [cut: {left_out + CUT_BACK_CHARACTERS} more]" if left_out else line


class Entries:
    """Lines, put together into entries: a traceback is one with the line before it, and so is what is indented."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._in_traceback = self._in_block = False

    @property
    def is_open(self) -> bool:
        """Whether there is an entry that may go on."""
        return bool(self._lines)

    def take(self, line: str) -> Iterator[list[str]]:
        """Yield the entries that are whole now that this line was read."""
        line = _COLOUR.sub("", line) if "\x1b" in line else line
        if not self._goes_on(line) or len(self._lines) >= MOST_LINES:
            yield from self.end()
        self._lines.append(line)
        self._in_traceback = self._in_traceback or _TRACEBACK.match(line) is not None
        # A key or a certificate is not taken apart: its lines alone look like nothing.
        self._in_block = "-----BEGIN" in line or (self._in_block and "-----END" not in line)
        if line.startswith("{") and line.endswith("}"):
            yield from self.end()

    def end(self) -> Iterator[list[str]]:
        """Yield the entry that nothing follows."""
        if any(self._lines):
            yield self._lines
        self._lines, self._in_traceback, self._in_block = [], False, False

    def _goes_on(self, line: str) -> bool:
        if not self._lines:
            return True
        return self._in_block or _GOES_ON.match(line) is not None or (self._in_traceback and not _begins(line))


def _begins(line: str) -> bool:
    return line.startswith("{") or (_TIME.match(line) or _FIRST_WORD_IS_LEVEL.match(line)) is not None


def told(service: str, lines: Sequence[str], redact: Callable[[str], str]) -> str:
    """Return an entry as one line of JSON: service, time and level if it tells them, message, and what else its logger wrote."""
    try:
        fields = _of_json(lines, redact) or _of_text(lines, redact)
        return json.dumps({"service": service, **fields}, ensure_ascii=False, allow_nan=False)
    except Exception as error:  # noqa: BLE001 - a line that cannot be read stops no service, and is not shown unredacted
        message = f"An entry of {len(lines)} lines was left out, for it could not be redacted: {type(error).__name__}."
        return json.dumps({"service": service, "level": "error", "message": message})


def _of_text(lines: Sequence[str], redact: Callable[[str], str]) -> dict[str, str]:
    text = "\n".join(lines).rstrip()
    if at := _TIME.match(text):
        text = text[at.end() :]
    level = _level_of(text)
    if level not in {"warning", "error", "critical"} and any(map(_TRACEBACK.match, lines)):
        level = "error"
    return _without_none({"time": at and at["time"], "level": level, "message": redact(text)})


def _level_of(text: str) -> str | None:
    found = _LEVEL.match(text)
    return _level((found["upper"] or found["lower"]).lower()) if found else None


def _of_json(lines: Sequence[str], redact: Callable[[str], str]) -> dict[str, Any] | None:
    """What a logger wrote that writes JSON itself; None where it is none, or holds what JSON has not, such as NaN."""
    if len(lines) > 1 or not lines[0].startswith("{"):
        return None
    try:
        read = json.loads(lines[0], parse_constant=str)
    except (ValueError, RecursionError):
        return None
    fields = redact_value(read, redact)
    time, message = _first(fields, _TIMES), _first(fields, _MESSAGES)
    level = fields.pop("level", None)
    fields.pop("service", None)
    level = _level(level.lower()) if isinstance(level, str) else level
    return _without_none({"time": time, "level": level, "message": message}) | fields


def _first(fields: dict[str, Any], names: Sequence[str]) -> Any:
    """Take out the first of the names that there is."""
    return next((fields.pop(name) for name in names if name in fields), None)


def _level(name: str) -> str:
    return _LEVELS.get(name, name)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
