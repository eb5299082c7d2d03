from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rekindle.platform.java import java_home


def pretend(folder, version):
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    """A machine without Java: only the shell's own tools are on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("version", ["17.0.15", "21.0.2"])
def test_takes_the_machines_java_where_spark_runs_on_it(monkeypatch, tmp_path, version):
    java = pretend(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(java))

    assert java_home() == java


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "25"])
def test_passes_over_a_java_that_spark_does_not_run_on(monkeypatch, tmp_path, version):
    monkeypatch.setenv("PATH", f"{pretend(tmp_path / 'jdk', version) / 'bin'}:{tmp_path / 'tools'}")

    assert java_home() == Path(sys.prefix) / "java"


@pytest.mark.usefixtures("no_java")
def test_without_java_the_wheels_one_runs_what_spark_asks_for():
    """Spark asks for a module that the wheel's Java does not have; the wrapper drops the request and nothing else."""
    ask = ["--add-modules=jdk.incubator.vector", "-Dsays=two words", "-XshowSettings:properties", "-version"]
    said = subprocess.run([java_home() / "bin" / "java", *ask], capture_output=True, text=True, check=True)

    assert 'version "17' in said.stderr
    assert "says = two words" in said.stderr
