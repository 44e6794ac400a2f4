"""results/benchmarks: speed on two CPU cores, beside the machine's limits and PyTorch."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.compare.race import race_figure
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.table import DASH, number, table

STEPS = (
    ("training, M", "train_step-cpu.json", "m-te-28x28-batch32-float32"),
    ("training, T", "train_step-cpu.json", "t-te-28x28-batch32-float32"),
    ("denoising, M", "sample_step-cpu.json", "m-te-28x28-batch32-float32"),
    ("training, M, another run", "bfloat16/train_step-cpu.json", "m-te-28x28-batch32-float32"),
    ("training, M, bfloat16, that run", "bfloat16/train_step-cpu.json", "m-te-28x28-batch32-bfloat16"),
)
NETS = {"mlp": "MLP", "conv": "conv", "matched": "matched"}
BATCHING = {
    "map_members": "members in turn",
    "map": "timesteps in turn",
    "vmap": "all at once",
    "sequential": "sequential jitted steps",
    "torch": "PyTorch",
}
AUTOENCODERS = {"two, wall clock": "autoencoders-cpu.json", "one, CPU seconds": "one-core/autoencoders-cpu.json"}
TRAININGS = {
    "in_turn": "ensemble, in turn",
    "at_once": "ensemble, stacked",
    "separate": "separate runs",
    "torch": "PyTorch",
}
MEMBERS = ("separate", "trunk")
STARTS = {"fresh": "labelled examples alone", "one": "one trained timestep", "neighbour": "its neighbour"}
LATENTS = (
    ("latent_posterior-cpu.json", "small-9216x256"),
    ("latents-1024/latent_posterior-cpu.json", "small-9216x1024"),
    ("latents-72000/latent_posterior-cpu.json", "tenth-72000x256"),
)
RACES = {"0.02": Path("."), "0.005": Path("within-0.005")}


def record(folder: Path, name: str) -> dict[str, Any]:
    """A JSON record."""
    return json.loads((folder / name).read_text())


def ratio(found: Mapping[str, Any] | None) -> str:
    """`median (lowest … highest)` of the rounds."""
    return DASH if found is None else f"{found['median']:.2f} ({found['range'][0]:.2f} … {found['range'][1]:.2f})"


def rate(value: float) -> str:
    """Three digits."""
    return f"{float(f'{value:.3g}'):,.10g}"


def steps(folder: Path) -> str:
    """Training and sampling steps."""
    rows = [(name, record(folder, file)["cases"][case]) for name, file, case in STEPS]

    def images(found: Mapping[str, Any]) -> str:
        return rate(found.get("images_per_second", found.get("image_steps_per_second")))

    columns = {
        "step": lambda row: row[0],
        "ours, images/s": lambda row: images(row[1]["vdm_jax"]),
        "PyTorch, images/s": lambda row: images(row[1]["torch"]),
        "its fastest way": lambda row: row[1]["torch"]["fastest"].removeprefix("torch, "),
        "ours / PyTorch": lambda row: ratio(row[1]["times_as_fast_as_torch"]),
        "GFLOP/s": lambda row: rate(row[1]["vdm_jax"]["flops_per_second"] / 1e9),
        "share of the peak": lambda row: f"{row[1]['vdm_jax']['share_of_peak']:.0%}",
        "share of min(peak, bandwidth x intensity)": lambda row: f"{row[1]['vdm_jax']['share_of_roofline']:.0%}",
    }
    return table(rows, columns)


def ensembles(folder: Path) -> str:
    """Ensembles of 1, 64 and 1,000 probes."""
    rows = []
    for net, name in NETS.items():
        cases = record(folder, "matched/probe_ensemble-cpu.json" if net == "matched" else "probe_ensemble-cpu.json")
        rows += [(f"{name}, {n:,}", cases["cases"][f"{net}-{n}-members-batch64"]) for n in (1, 64, 1000)]
    columns = {
        "net, members": lambda row: row[0],
        "ensemble, members x examples/s": lambda row: rate(row[1]["map_members"]["members_x_examples_per_second"]),
        "ours / sequential jitted steps": lambda row: ratio(row[1].get("ratio_to_sequential")),
        "ours / sequential PyTorch": lambda row: ratio(row[1].get("ratio_to_pytorch")),
        "compiling, s": lambda row: f"{row[1]['map_members']['compile_seconds']:.1f}",
        "memory a member, MB": lambda row: f"{row[1]['map_members']['memory_bytes_per_member'] / 1e6:.2g}",
    }
    return table(rows, columns)


def batching(folder: Path) -> str:
    """64 members by each way of batching."""
    cases = record(folder, "batching/probe_ensemble-cpu.json")["cases"]
    rows = [(name, cases[f"{net}-64-members-batch64"]) for net, name in NETS.items()]

    def cell(row: tuple[str, Mapping[str, Any]], way: str) -> str:
        found = row[1][way]
        memory = found.get("memory_bytes_per_member")
        text = rate(found["members_x_examples_per_second"])
        return text if memory is None else f"{text}; {memory / 1e6:.2g} MB"

    columns = {"net": lambda row: row[0]}
    for way, name in BATCHING.items():
        columns[name] = lambda row, way=way: cell(row, way)
    return table(rows, columns)


def latents(folder: Path) -> str:
    """Seconds of the exact curves of latent spaces."""
    rows = []
    for file, case in LATENTS:
        cases = record(folder, file)["cases"]
        named = {code: cases.get(f"{case}-{code}") for code in ("stochastic", "deterministic")}
        rows += [(case, code, found) for code, found in named.items() if found]
    columns = {
        "images x values": lambda row: "{:,} x {:,}".format(*map(int, row[0].split("-")[1].split("x"))),
        "code": lambda row: row[1],
        "curves, s": lambda row: rate(row[2]["vdm_jax"]["seconds_per_step"]),
        "preparing and compiling, s": lambda row: f"{row[2]['vdm_jax']['seconds_to_prepare_and_compile']:.1f}",
        "NumPy, s": lambda row: rate(row[2]["numpy"]["seconds_per_step"]) if "numpy" in row[2] else DASH,
        "times as fast as NumPy": lambda row: ratio(row[2].get("times_as_fast_as_numpy")),
        "largest difference from float64": lambda row: f"{row[2]['largest_difference']['all']:.1g}",
    }
    return table(rows, columns)


def autoencoders(folder: Path) -> str:
    """8 VAEs of 16 latents, by each way to train them."""
    found = {cores: record(folder, file) for cores, file in AUTOENCODERS.items()}

    def compiling(own: Mapping[str, Any]) -> str:
        return f"{own['compile_seconds_per_member']:.1f}" if "compile_seconds_per_member" in own else DASH

    columns = {
        "cores": lambda row: row[0],
        "way": lambda row: TRAININGS[row[1]],
        "an update of a member, ms": lambda row: f"{1e3 * found[row[0]][row[1]]['seconds_per_step']:.1f}",
        "compiling, s a member": lambda row: compiling(found[row[0]][row[1]]),
        "its updates / those in turn, in time": lambda row: ratio(found[row[0]]["ratio_of_steps"].get(row[1])),
        "with compilation and 3,000 updates": lambda row: ratio(found[row[0]]["ratio_of_trainings"].get(row[1])),
    }
    return table([(cores, way) for cores in found for way in TRAININGS], columns)


def race(folder: Path) -> str:
    """Seconds of training until all probes are at the exact curve."""
    found = {within: record(folder, str(at / "time_to_curve-cpu.json"))["ways"] for within, at in RACES.items()}

    def cell(start: str, members: str, within: str) -> str:
        seconds = found[within][f"{members}-{start}"]["seconds_to_curve"]
        if None in seconds:
            return "never"
        over = mean_and_error(np.array(seconds), "seeds")
        return number(float(over.mean), float(over.error))

    columns = {"started from": lambda start: STARTS[start]}
    for within in RACES:
        for members in MEMBERS:
            title = f"{members}, within {within}, s"
            columns[title] = lambda start, members=members, within=within: cell(start, members, within)
    return table(list(STARTS), columns)


def race_of(within: str, folder: Path) -> Figure:
    """The share of probes at the curve over seconds of training."""
    ways = record(folder, str(RACES[within] / "time_to_curve-cpu.json"))["ways"]
    named = {f"{members}: {STARTS[start]}": ways[f"{members}-{start}"] for members in MEMBERS for start in STARTS}
    return race_figure(named, float(within))


PAGE = Page(
    "benchmarks",
    tables={
        "steps": steps,
        "ensembles": ensembles,
        "batching": batching,
        "latents": latents,
        "autoencoders": autoencoders,
        "race": race,
    },
    figures={str(at / "time_to_curve-cpu.png"): functools.partial(race_of, within) for within, at in RACES.items()},
)
