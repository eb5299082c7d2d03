"""The text that Prometheus reads, read back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rekindle.metrics import Metric, Sample, exposition

LINE = re.compile(r'(?P<name>[a-z_]+)(?:\{(?P<labels>(?:[a-z]+="(?:\\.|[^"\\])*",?)*)\})? (?P<value>\S+)')
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def read_back(text: str) -> list[tuple[str, dict[str, str], float]]:
    """What the format says that the text means."""
    samples = []
    for line in text.removesuffix("\n").split("\n"):
        if not line.startswith("#"):
            found = LINE.fullmatch(line)
            labels = re.findall(r'([a-z]+)="((?:\\.|[^"\\])*)"', found["labels"] or "")
            plain = {name: re.sub(r"\\.", lambda m: UNESCAPED[m[0]], value) for name, value in labels}
            samples.append((found["name"], plain, float(found["value"])))
    return samples


numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))


@given(
    st.lists(st.tuples(st.dictionaries(st.sampled_from(["table", "code"]), st.text()), numbers), max_size=4), st.text()
)
def test_whatever_labels_say_is_read_back(samples: list[tuple[dict[str, str], float]], text: str):
    metric = Metric("rekindle_x", text, tuple(Sample(value, labels) for labels, value in samples))

    assert read_back(exposition([metric])) == [("rekindle_x", labels, float(value)) for labels, value in samples]


def test_each_metric_says_what_it_is():
    metrics = [Metric("rekindle_up", "Whether\nit is \\ up.", (Sample(1),)), Metric("rekindle_none", "No sample.")]

    assert exposition(metrics) == (
        "# HELP rekindle_up Whether\\nit is \\\\ up.\n# TYPE rekindle_up gauge\nrekindle_up 1\n"
        "# HELP rekindle_none No sample.\n# TYPE rekindle_none gauge\n"
    )


def test_an_integer_has_no_point_and_nothing_is_rounded():
    samples = (Sample(1512345678.0), Sample(0.1), Sample(1e22))

    assert [line.split()[1] for line in exposition([Metric("x", "x", samples)]).splitlines()[2:]] == [
        "1512345678",
        "0.1",
        "10000000000000000000000",
    ]
