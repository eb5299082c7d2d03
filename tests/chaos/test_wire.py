"""The wire of the drills: it cuts one commit, after it has arrived, and no other."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from chaos.wire import COMMIT, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKED = b"insert into a.log"


@pytest.fixture
def server() -> Iterator[tuple[int, list[bytes]]]:
    """Answers `done` to whatever it hears, and remembers it."""
    listener, heard = socket.create_server(("127.0.0.1", 0)), []

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while block := connection.recv(1000):
                heard.append(block)
                connection.sendall(b"done")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1], heard
    listener.close()


def answers(address: int, *said: bytes) -> list[bytes]:
    """What is heard after each thing that is said, up to the end of the connection."""
    found = []
    with socket.create_connection(("127.0.0.1", address), timeout=10) as client:
        for one in said:
            client.sendall(one)
            found.append(client.recv(1000))
    return found


def test_the_answer_to_the_marked_commit_is_lost_once(server: tuple[int, list[bytes]]):
    port, heard = server
    with Wire(port, MARKED) as wire:
        assert answers(wire.address, MARKED, COMMIT) == [b"done", b""]
        assert answers(wire.address, MARKED, COMMIT) == [b"done", b"done"]

        assert heard[:2] == [MARKED, COMMIT]


def test_another_commit_is_answered(server: tuple[int, list[bytes]]):
    with Wire(server[0], MARKED) as wire:
        assert answers(wire.address, b"select 1", COMMIT) == [b"done", b"done"]
        assert wire.cuts == 0
