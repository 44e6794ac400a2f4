"""Progress as a person reads it in a file or a terminal: some lines, never too many, with the right remaining time."""

import re
import signal
import sys

import jax
import jax.numpy as jnp
import pytest

from vdm_jax.base import program, progress
from vdm_jax.base.program import announced, compiled_seconds
from vdm_jax.base.progress import Pace, Stage, bar, place, show_line
from vdm_jax.base.signals import Stopped, catch_sigterm, stop_at_sigterm


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    own = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", own)
    monkeypatch.setattr(progress, "_LAST_LINE", [own.now])
    return own


def seconds(text: str) -> float:
    """The remaining time that a line states."""
    hours, minutes, rest = re.search(r", (?:(\d+) h )?(?:(\d+) min)?(?:(\d+) s)? left", text).groups(0)
    return 3600 * float(hours) + 60 * float(minutes) + float(rest)


@pytest.mark.parametrize("num_items", [60, 1_200])
@pytest.mark.parametrize("total", [5.0, 30.0, 180.0, 1_200.0, 36_000.0])
def test_lines_of_a_stage_without_a_terminal(clock, monkeypatch, num_items, total):
    lines = []

    def note(text):
        lines.append((clock.now - 1000, text))
        progress._LAST_LINE[0] = clock.now

    monkeypatch.setattr(progress, "note", note)
    for _ in bar("stage")(range(num_items)):
        clock.now += total / num_items
    last = lines.pop()[1] if lines else ""
    told = [text for _, text in lines]
    assert len(lines) <= 21 + 20 * max(0.0, total / 1_200 - 1) ** 0.5
    assert (last != "") == (len(lines) > 0) == (total > 10)
    times = [0.0, *(time for time, _ in lines), total]
    gaps = [(after - before, after) for before, after in zip(times, times[1:], strict=False)]
    item = total / num_items
    assert all(gap <= max(60, time / 19) + 2 * item for gap, time in gaps), "a minute, or a twentieth of the time"
    for time, text in lines[1:]:
        assert re.match(r"stage: [\d,]+ of [\d,]+ \(\d+%\), .* left$", text)
        assert abs(seconds(text) - (total - time)) <= max(0.05 * (total - time), 31) + 2 * item
    assert not told or last.startswith(f"stage: {num_items:,} of {num_items:,} in ")


def test_the_first_remaining_time_leaves_out_the_first_item_and_compiling(clock):
    idle = [0.0]
    pace = Pace(100, 0, lambda: idle[0])
    assert pace.remaining() is None
    for done in range(1, 101):
        clock.now += 2.0 if done > 1 else 50.0
        if done == 10:  # a validation compiles
            clock.now, idle[0] = clock.now + 40, 40.0
        pace.advance(done)
        assert done == 1 or pace.remaining() == pytest.approx(2.0 * (100 - done))


def test_the_remaining_time_follows_a_change_of_pace(clock):
    pace = Pace(1_000, 0)
    for done in range(1, 801):
        clock.now += 1.0 if done <= 200 else 3.0
        pace.advance(done)
    assert pace.remaining() == pytest.approx(600, rel=0.02)


def test_an_inner_loop_is_silent_for_a_minute(clock, capsys):
    with Stage("outer", 10) as outer:
        for part in range(1, 11):
            for _ in bar("inner")(range(30)):
                clock.now += 1.0
            outer.advance(part)
    told = capsys.readouterr().err
    assert "outer: 10 of 10" in told and "inner" not in told
    with Stage("outer", 2) as outer:
        for _ in bar("inner")(range(130)):
            clock.now += 1.0
    assert capsys.readouterr().err.count("inner: ") == 3  # after one minute, after two, at its end


def test_a_bar_in_a_terminal(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("tqdm.std.time", clock)
    for _ in bar("stage")(range(10)):
        clock.now += 5.0
    shown = capsys.readouterr().err
    assert "stage:" in shown and "5/10" in shown and "25 s left" in shown and "?" not in shown


def test_lines_of_a_member_pass_once_a_minute(clock, capsys):
    for _ in range(190):
        clock.now += 1.0
        show_line("1 of 3: a: train: 20 of 60")
        show_line("")
    assert capsys.readouterr().err.count("train: 20 of 60") == 3


def test_sigterm_ends_a_loop_and_the_place_is_known():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped), stop_at_sigterm():
        for i in bar("stage")(range(10)):
            if i == 3:
                signal.raise_signal(signal.SIGTERM)
    assert place() == "stage: 3 of 10" and signal.getsignal(signal.SIGTERM) == before
    assert len(list(bar("stage")(range(4)))) == 4 and place() == ""


def test_a_lost_stop_is_found_at_the_next_item():
    done = []
    with pytest.raises(Stopped), stop_at_sigterm():
        for i in bar("stage")(range(10)):
            done.append(i)
            try:
                if i == 3:
                    signal.raise_signal(signal.SIGTERM)
            except Stopped:  # as Python does with what is raised in a destructor
                pass
    assert done == [0, 1, 2, 3]


def test_who_saves_its_state_is_asked_instead():
    with stop_at_sigterm():
        with catch_sigterm() as stop_requested:
            signal.raise_signal(signal.SIGTERM)
            assert stop_requested() and len(list(bar("stage")(range(4)))) == 4
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
    with catch_sigterm() as stop_requested, stop_at_sigterm():
        signal.raise_signal(signal.SIGTERM)
        assert stop_requested()


def test_compiling_is_announced_with_its_duration_where_it_takes_time(capfd, monkeypatch):
    def triple(x):
        return jnp.sin(3 * x) + 1.2345

    before = compiled_seconds()
    with announced({"triple": "the triple"}):
        jax.jit(triple)(jnp.ones(7))
        assert capfd.readouterr().err == "" and compiled_seconds() > before
        monkeypatch.setattr(program, "NOTICEABLE", 0.0)
        jax.jit(triple)(jnp.ones(8))
        told = capfd.readouterr().err
    assert re.search(r"^compiled the triple in \d+ s$", told, re.MULTILINE)
    jax.jit(triple)(jnp.ones(9))
    assert capfd.readouterr().err == "", "in a program of the user nothing is printed"


def test_the_start_of_a_long_compilation_is_announced(capfd, monkeypatch):
    monkeypatch.setattr(program, "NOTICEABLE", 0.01)
    compiler = program._COMPILER
    with announced({"round": "a round"}):
        compiler._starts(program.EVENT, 0.0, fun_name="jit(_round)")
        compiler._timers[program.threading.get_ident()].join()
        assert capfd.readouterr().err == "compiling a round …\n"
        compiler._ends(program.EVENT, 95.0, fun_name="jit(_round)")
    assert capfd.readouterr().err == "compiled a round in 2 min\n"
