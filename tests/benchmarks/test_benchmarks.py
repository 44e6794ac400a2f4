"""Benchmarks: the arithmetic of rounds and rooflines, what XLA counts, and a small run of each from end to end."""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.benchmarks import sample_step, train_step
from vdm_jax.benchmarks.command import run_cases
from vdm_jax.benchmarks.measure import Contender, Timing, ratio, side_by_side
from vdm_jax.benchmarks.roofline import Machine, Work, count_work, measure_machine, roofline

SMALL = ["--side=8", "--batch_size=4", "--sizes=digits", "--rounds=2", "--seconds=0.1", "--no_peer"]


def test_contenders_are_timed_in_turn():
    calls = []

    def contender(name, pause):
        return Contender(name, lambda count: (calls.append((name, count)), time.sleep(pause * count)))

    found = side_by_side([contender("slow", 0.02), contender("fast", 0.01)], rounds=3, seconds=0.3)
    rounds = [name for name, count in calls if count > 1]
    assert rounds == ["slow", "fast"] * 3
    np.testing.assert_allclose(found["slow"].seconds, 0.02, rtol=0.3)
    assert 1.3 < ratio(found["slow"], found["fast"])["median"] < 2.7


def test_ratios_are_taken_round_by_round():
    """A machine that slows down for a round slows both."""
    assert ratio(Timing([1.0, 2.0, 10.0]), Timing([0.5, 1.0, 5.0])) == {"median": 2.0, "range": [2.0, 2.0]}


def test_the_roofline_is_the_lower_of_two_limits():
    machine = Machine({"float32": 100.0}, 10.0)
    found = roofline(Work(flops=60.0, bytes=3.0), machine, "float32", seconds=2.0)
    assert found["limited_by"] == "matrix products" and found["share_of_roofline"] == pytest.approx(0.3)
    found = roofline(Work(flops=6.0, bytes=3.0), machine, "float32", seconds=1.0)
    assert found["limited_by"] == "memory" and found["limit_flops_per_second"] == pytest.approx(20.0)
    assert found["share_of_peak"] == pytest.approx(0.06)


def test_the_work_of_a_step():
    def count(fn, *shapes, steps=1):
        traced = jax.jit(fn).trace(*(jnp.zeros(shape) for shape in shapes))
        return count_work(traced, traced.lower().compile(), steps)

    work = count(jnp.matmul, (32, 48), (48, 16))
    assert work.flops == 2 * 32 * 48 * 16 and work.bytes == 4 * (32 * 48 + 48 * 16 + 32 * 16)
    one, ten = (
        count(lambda a, n=n: jax.lax.scan(lambda c, _: (c @ c, None), a, length=n)[0], (64, 64), steps=n)
        for n in (2, 20)
    )
    assert one == ten


def test_the_machine_is_measured(monkeypatch):
    monkeypatch.setattr("vdm_jax.benchmarks.roofline.MATRIX_SIDE", {"cpu": 128})
    monkeypatch.setattr("vdm_jax.benchmarks.roofline.STREAM_VALUES", {"cpu": 2**16})
    machine = measure_machine(("float32", "bfloat16"), rounds=2, seconds=0.02)
    assert set(machine.peak) == {"float32", "bfloat16"}
    assert 1e7 < machine.peak["float32"] < 1e15 and 1e7 < machine.bandwidth < 1e14


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [train_step, sample_step], ids=["train", "sample"])
def test_a_small_run_leaves_its_record(benchmark, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vdm_jax.benchmarks.command.measure_machine", lambda dtypes: Machine({"float32": 1e12}, 1e11))
    name = benchmark.__name__.rpartition(".")[2]
    arguments = [*SMALL, f"--out={tmp_path}"]
    assert run_cases(name, "", benchmark.make_program, benchmark.make_peer, arguments, "things") == 0
    record = json.loads(next(tmp_path.glob(f"{name}-*.json")).read_text())
    case = record["cases"]["digits-te-8x8-batch4-float32"]["vdm_jax"]
    assert case["things_per_second"] == pytest.approx(4 / case["seconds_per_step"])
    assert case["flops_per_second"] == pytest.approx(case["flops_per_step"] / case["seconds_per_step"])
    parameters = 247_489
    forward = 2 * 4 * 64 * parameters  # every weight of the U-Net at every pixel of four images, about
    passes = {"train_step": 3, "sample_step": 1}[name]
    assert 0.3 * passes * forward < case["flops_per_step"] < 3 * passes * forward
    assert record["provenance"]["commit"] and record["settings"]["batch_size"] == 4
    assert "things/s" in capsys.readouterr().out


def test_mistakes_are_told(tmp_path, capsys):
    mistakes = {
        "--sizes=x": "--sizes='x'",
        "--dtypes=float61": "'float61'",
        "--batch_size=0": "at least 1",
        "--side=0": "--side=0; expected at least 1",
        "--seconds=nan": "--seconds=nan; expected a number above 0",
        "--patience=-1": "--patience=-1.0; expected a number above 0",
        f"--out={__file__}": "test_benchmarks.py is no folder; choose another --out",
    }
    for flag, told in mistakes.items():
        arguments = [f"--out={tmp_path}", flag]
        assert run_cases("train_step", "", train_step.make_program, train_step.make_peer, arguments) == 2
        assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
