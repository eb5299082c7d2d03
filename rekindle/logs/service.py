"""A service as a child process: what it writes is read, told and passed on; signals reach it, and its end is ours."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rekindle.logs.entries import Entries, Lines, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""What services are stopped, reloaded and asked by."""

READ_AT_ONCE_BYTES = 64 * 1024
IDLE_SECONDS = 0.3
"""An entry is whole when nothing follows for that long."""

LAST_WORDS_SECONDS = 2.0
"""Processes that a service leaves behind may write on and on: who ends does not wait longer for them."""

NOT_EXECUTABLE, NOT_FOUND, BY_SIGNAL = 126, 127, 128
"""Exit codes as shells have them."""


class Service:
    """A service to be run once."""

    def __init__(self, name: str, command: Sequence[str], redact: Callable[[str], str], out: int = 1) -> None:
        self._name, self._command, self._redact, self._out = name, command, redact, out
        self._child: int | None = None
        self._exit_code: int | None = None
        self._waiting_signals: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run it until it ends; return its exit code, or 128 and the number of the signal that ended it."""
        self._listen_for_signals()
        try:
            self._start()
        except OSError as error:
            self._tell([f"ERROR {self._command[0]} cannot be started: {error.strerror}."])
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        while self._exit_code is None:
            self._pass_on(IDLE_SECONDS if self._has_open_entries() else None)
            self._reap()
        self._pass_on_last_words()
        return BY_SIGNAL - self._exit_code if self._exit_code < 0 else self._exit_code

    def _listen_for_signals(self) -> None:
        heard, told_ = os.pipe()
        for end in (heard, told_):
            os.set_blocking(end, False)
        # Without it a signal would be looked at when the service writes next.
        signal.set_wakeup_fd(told_, warn_on_full_buffer=False)
        self._selector.register(heard, selectors.EVENT_READ, None)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for name in FORWARDED:
            signal.signal(getattr(signal, name), lambda number, _: self._forward(number))

    def _start(self) -> None:
        # Python holds back what it writes into a pipe, unless it is told not to.
        environ = {"PYTHONUNBUFFERED": "1", **os.environ}
        child = subprocess.Popen(  # noqa: S603 - the command is the image's own
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, process_group=0
        )
        for pipe in (child.stdout, child.stderr):
            if pipe:
                self._selector.register(pipe, selectors.EVENT_READ, (Lines(), Entries()))
        self._child = child.pid
        # It is waited for here, together with what others leave behind.
        child.returncode = 0
        for number in self._waiting_signals:
            self._forward(number)

    def _forward(self, number: int) -> None:
        if self._child is None:
            self._waiting_signals.append(number)
        elif self._exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._exit_code = os.waitstatus_to_exitcode(ended[1])

    def _pass_on(self, patience: float | None) -> bool:
        """Wait for something to be written, and pass it on; say whether there was any."""
        ready = self._selector.select(patience)
        written = [key for key, _ in ready if key.data and self._read(key)]
        for key, _ in ready:
            if not key.data:
                os.read(key.fd, READ_AT_ONCE_BYTES)
        if not ready:
            self._tell_open_entries()
        return bool(written)

    def _read(self, key: selectors.SelectorKey) -> bool:
        """Pass on what was written into a pipe; at its end take it off the list."""
        lines, entries = key.data
        data = os.read(key.fd, READ_AT_ONCE_BYTES)
        read = lines.take(data) if data else lines.end()
        whole = [entry for line in read for entry in entries.take(line)]
        self._tell(*whole, *([] if data else entries.end()))
        if not data:
            self._selector.unregister(key.fileobj)
        return bool(data)

    def _pass_on_last_words(self) -> None:
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        while self._pipes() and time.monotonic() < deadline and self._pass_on(0):
            pass
        for key in self._pipes():
            lines, entries = key.data
            self._tell(*(entry for line in lines.end() for entry in entries.take(line)))
        self._tell_open_entries()

    def _pipes(self) -> list[selectors.SelectorKey]:
        return [key for key in self._selector.get_map().values() if key.data]

    def _has_open_entries(self) -> bool:
        return any(key.data[1].is_open for key in self._pipes())

    def _tell_open_entries(self) -> None:
        for key in self._pipes():
            self._tell(*key.data[1].end())

    def _tell(self, *entries: Iterable[str]) -> None:
        text = "".join(f"{told(self._name, list(entry), self._redact)}\n" for entry in entries)
        rest = memoryview(text.encode("utf-8", errors="backslashreplace"))
        # Nobody reads any more: that is no reason for a service to end.
        with suppress(OSError):
            while rest:
                rest = rest[os.write(self._out, rest) :]
