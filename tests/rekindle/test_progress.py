"""Progress of long steps, by a clock that the test turns."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest

from rekindle import progress
from rekindle.progress import LinesNowAndThen, Progress


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_what_is_done_tells_how_long_the_rest_takes(clock):
    with Progress(clock).step("Scoring days", total=4) as step:
        assert str(step) == "Scoring days, 0 of 4: 00:00:00 so far"
        clock.now += 60
        step.advance()
        assert str(step) == "Scoring days, 1 of 4: 00:01:00 so far, about 3 min to go"
        clock.now += 30
        assert step.times == "00:01:30 so far, about 2 min to go"  # the time between two parts counts down, not up
        clock.now += 3600
        assert step.times == "01:01:30 so far"  # longer than was thought: nobody knows


def test_what_it_took_earlier_tells_how_long_it_takes(clock):
    with Progress(clock).step("features.user", expected=200) as step:
        clock.now += 90
        assert str(step) == "features.user: 00:01:30 so far, about 2 min to go"
        clock.now += 200
        assert step.times == "00:04:50 so far"


def test_parts_that_are_not_alike_are_counted_and_not_believed(clock):
    with Progress(clock).step("History", total=10, alike=False) as step:
        clock.now += 6
        step.advance()
        assert str(step) == "History, 1 of 10: 00:00:06 so far"


def test_what_later_parts_should_take_is_added_to_the_one_under_way(clock):
    told = Progress(clock)
    with told.step("History", total=3, alike=False) as history:
        history.later = 300.0
        with told.step("features.user", expected=60):
            clock.now += 30
            assert history.times == "00:00:30 so far, about 6 min to go"
            clock.now += 31
            assert history.times == "00:01:01 so far"
        assert history.to_go is None


def test_a_line_is_written_every_half_minute_about_all_that_is_under_way(clock):
    written: list[str] = []
    lines = LinesNowAndThen(written.append, clock)
    with lines.step("History", total=3) as history:
        for _ in range(3):
            with lines.step("features.user", expected=40):
                for _ in range(20):
                    clock.now += 1
                    lines.tick()
            history.advance()
    clock.now += 100
    lines.tick()

    assert written == [
        "History, 1 of 3: 00:00:30 so far, about 30 s to go; features.user: 00:00:10 so far, about 30 s to go\n",
        "History, 2 of 3: 00:01:00 so far; features.user: 00:00:20 so far, about 20 s to go\n",
    ]


def test_a_step_is_over_when_it_has_failed(clock):
    told = Progress(clock)
    with pytest.raises(ZeroDivisionError), told.step("History"), told.step("features.user"):
        raise ZeroDivisionError

    assert told.under_way == ()


def test_who_asked_for_json_hears_nothing(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0)
    with progress.shown(as_json=True) as told, told.step("History"):
        pass

    assert capsys.readouterr() == ("", "")


def test_a_log_gets_lines_while_the_work_goes_on(monkeypatch):
    """By the real clock: the thread that looks at it ends with the work."""
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.shown() as told, told.step("History"):
        deadline = time.monotonic() + 10
        while "\n" not in sys.stderr.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)

    assert sys.stderr.getvalue().splitlines()[0].startswith("History: 00:00:0")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "5 s"), (42, "40 s"), (54, "55 s"), (55, "1 min"), (89 * 60, "89 min"), (9000, "2.5 h")],
)
def test_an_estimate_is_told_as_exactly_as_it_is_known(seconds, words):
    assert progress.about(seconds) == words


@pytest.mark.parametrize(
    ("days", "past", "seconds"),
    [
        (1, [(1, 5.0), (1, 7.0), (1, 90.0)], 7.0),
        (180, [(360, 100.0), (1, 10.0)], 10 + 90 * 179 / 359),
        (400, [(200, 50.0), (1, 10.0)], 100.0),
        (50, [(100, 40.0)], 30.0),
        (365, [(1, 5.0), (7, 6.0)], None),
        (1, [(365, 60.0)], None),
        (1, [], None),
    ],
)
def test_earlier_steps_tell_how_long_one_over_other_days_takes(days, past, seconds):
    assert progress.estimate(days, past) == pytest.approx(seconds)


def test_a_terminal_shows_steps_in_place_and_a_redirected_answer_stays_whole(tmp_path):
    """Under a pseudo-terminal on stderr: stdout goes to a file, and what is printed arrives there."""
    import os
    import pty

    code = (
        "import time; from rekindle import progress\n"
        "with progress.shown() as p, p.step('History', total=3) as h, p.step('features.user', expected=100):\n"
        "    h.advance(); time.sleep(.6); print('an answer')"
    )
    ours, theirs = pty.openpty()
    answer = tmp_path / "answer"
    with answer.open("w") as out:
        done = subprocess.Popen(
            [sys.executable, "-c", code], stdout=out, stderr=theirs, env=os.environ | {"COLUMNS": "100"}
        )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 1 << 16):
            shown += part
    except OSError:  # what Linux says when the other end has closed
        pass
    assert done.wait() == 0
    assert answer.read_text() == "an answer\n"
    assert "History, 1 of 3" in shown.decode() and "features.user" in shown.decode()
    assert "so far, about 2 min to go" in shown.decode()
