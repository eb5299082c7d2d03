"""Masking: of whom a file must not speak is overwritten where it stands, and nothing else is."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from rekindle.erasure import files

if TYPE_CHECKING:
    from pathlib import Path


def masked(home: Path, content: bytes, *texts: str, name: str = "logs/a.log") -> bytes:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    files.mask(home, texts)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ("who: u-1047.", "who: ******."),
        ("u-10471 and au-1047", "u-10471 and au-1047"),
        ("u-1047u-1047", "u-1047u-1047"),
        ("'u-1047','u-1047'", "'******','******'"),
    ],
)
def test_an_id_is_masked_and_a_longer_word_is_not(tmp_path: Path, content: str, left: str):
    assert masked(tmp_path, content.encode(), "u-1047").decode() == left


def test_an_id_is_found_as_pages_and_json_write_it(tmp_path: Path):
    left = masked(
        tmp_path, b'<b>a&lt;b&amp;c&gt;d</b> "say \\"hi\\" " say &#39;it&#39;', "a<b&c>d", 'say "hi"', "say 'it'"
    )

    assert b"a&lt;b" not in left
    assert b"hi" not in left
    assert b"it" not in left


def test_a_short_id_is_masked_where_a_page_says_that_it_is_one(tmp_path: Path):
    """Logs are full of numbers."""
    assert masked(tmp_path, b'7 rows, <bdi class="id">7</bdi>', "7") == b'7 rows, <bdi class="id">*</bdi>'


def test_a_packed_log_is_masked_too(tmp_path: Path):
    assert gzip.decompress(masked(tmp_path, gzip.compress(b"of u-1047"), "u-1047", name="logs/a.gz")) == b"of ******"


def test_bytes_of_models_are_left_alone(tmp_path: Path):
    """A model with another byte has another digest, and nobody loads it."""
    assert masked(tmp_path, b"u-1047", "u-1047", name="mlflow/artifacts/m/native/model.json") == b"u-1047"


def test_a_server_goes_on_writing_to_its_log(tmp_path: Path):
    path = tmp_path / "logs" / "a.log"
    path.parent.mkdir()
    with path.open("a") as log:
        log.write("u-1047\n")
        log.flush()
        assert files.mask(tmp_path, ["u-1047"]) == {"logs": 1}
        log.write("more\n")

    assert path.read_text() == "******\nmore\n"
