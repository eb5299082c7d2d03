"""A wire between a process and Postgres that is cut right after a COMMIT has arrived: the client never hears the answer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

COMMIT = b"COMMIT\x00"
BLOCK = 65_536


@dataclass
class Wire:
    """Listens on a port of its own and passes on what it hears; cuts the commit of the transaction that has sent `marked`."""

    port: int
    marked: bytes
    """SQL that a transaction must have sent for its commit to be cut; the first such transaction, and no other."""
    cuts: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    @property
    def address(self) -> int:
        return self._listener.getsockname()[1]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                talk = _Talk(self, client, server)
                for work in (talk.there, talk.back):
                    threading.Thread(target=work, daemon=True).start()

    def is_first(self) -> bool:
        """Whether a commit that could be cut is the one that is."""
        with self._lock:
            self.cuts += 1
            return self.cuts == 1


@dataclass
class _Talk:
    """One connection: what the client says, and what the server answers."""

    wire: Wire
    client: socket.socket
    server: socket.socket
    is_marked: bool = False
    is_cut: bool = False

    def there(self) -> None:
        with suppress(OSError):
            while block := self.client.recv(BLOCK):
                self.is_marked = self.is_marked or self.wire.marked in block
                if COMMIT in block:
                    # The server's answer to it is the last that the client does not hear.
                    self.is_cut = self.is_marked and self.wire.is_first()
                    self.is_marked = False
                self.server.sendall(block)
        self._close()

    def back(self) -> None:
        with suppress(OSError):
            while block := self.server.recv(BLOCK):
                if self.is_cut:
                    break
                self.client.sendall(block)
        self._close()

    def _close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
