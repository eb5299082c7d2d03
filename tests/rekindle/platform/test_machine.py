from __future__ import annotations

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rekindle.platform import machine


@pytest.fixture
def lacks(monkeypatch, tmp_path):
    def lacks(*, disk_gib=100.0, memory_gib=16.0, python=(3, 11, 7), installed=False):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk_gib * machine.GIB))
        monkeypatch.setattr(machine, "memory_bytes", lambda: memory_gib * machine.GIB)
        monkeypatch.setattr(sys, "version_info", python)
        return machine.shortcomings(tmp_path, installed=installed)

    return lacks


def test_a_machine_that_has_all_lacks_nothing(lacks):
    assert lacks() == []


def test_says_how_much_disk_is_missing(lacks):
    (said,) = lacks(disk_gib=2.5)

    assert said.startswith("6 GiB")
    assert "2.5 GiB are free" in said


def test_asks_for_less_disk_once_installed(lacks):
    assert lacks(disk_gib=2.5, installed=True) == []


def test_says_how_much_memory_is_missing(lacks):
    assert "the machine has 2.0 GiB" in lacks(memory_gib=2)[0]


def test_says_which_python_it_found(lacks):
    assert "this is 3.12" in lacks(python=(3, 12, 1))[0]


def test_names_all_that_is_missing_at_once(lacks):
    assert len(lacks(disk_gib=1, memory_gib=1, python=(3, 9, 0))) == 3


def test_takes_less_than_two_seconds_and_nothing_but_python():
    subprocess.run([sys.executable, "-I", "-S", machine.__file__], check=True, timeout=2)
