"""The common parts of the benchmarks of a step: flags, cases, and the record."""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from vdm_jax.base.ending import OneSentence, escape_output
from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.files import write_json
from vdm_jax.base.mesh import check_devices
from vdm_jax.base.provenance import provenance
from vdm_jax.benchmarks import peers
from vdm_jax.benchmarks.measure import Timing, ratio, side_by_side
from vdm_jax.benchmarks.networks import ModelCase
from vdm_jax.benchmarks.program import CompiledProgram
from vdm_jax.benchmarks.roofline import Machine, measure_machine, roofline
from vdm_jax.launch.memory import keep_freed_memory
from vdm_jax.launch.store import check_place
from vdm_jax.networks.sizes import ENCODER_SIZES, UNET_SIZES

DTYPES = {"float32": "float32", "bfloat16": "bfloat16"}
# Full size on an accelerator; on a CPU the benchmark ends within ten minutes.
DEFAULTS = {
    "cpu": {"sizes": "m,t", "side": 28, "batch_size": 32, "dtypes": "float32"},
    "gpu": {"sizes": "s,t,m", "side": 28, "batch_size": 128, "dtypes": "float32,bfloat16"},
}

ENCODERS = {name: size for name, size in ENCODER_SIZES.items() if "patch" not in size}  # those that PyTorch's peer has


def parse(name: str, description: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags of `python -m vdm_jax.benchmarks.NAME`."""
    parser = argparse.ArgumentParser(prog=f"python -m vdm_jax.benchmarks.{name}", description=description)
    defaults = DEFAULTS.get(jax.default_backend(), DEFAULTS["gpu"])
    parser.add_argument("--sizes", default=defaults["sizes"], help=f"of {', '.join(UNET_SIZES)} (%(default)s)")
    parser.add_argument("--encoder", default="te", help=f"of {', '.join(ENCODERS)} (%(default)s)")
    parser.add_argument("--side", type=int, default=defaults["side"], help="side of the images (%(default)s)")
    parser.add_argument("--batch_size", type=int, default=defaults["batch_size"], help="(%(default)s)")
    parser.add_argument("--dtypes", default=defaults["dtypes"], help="of float32, bfloat16 (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each over all contenders (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds for each contender of a case (%(default)s)")
    parser.add_argument(
        "--patience", type=float, default=240.0, help="seconds to find PyTorch's fastest ways, all cases (%(default)s)"
    )
    parser.add_argument("--no_peer", action="store_true", help="omit PyTorch")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="folder (%(default)s)")
    return parser.parse_args(arguments)


def check_common(options: argparse.Namespace, counts: Sequence[str] = ("batch_size", "rounds")) -> None:
    """Raises `UserError` for a number out of range, or an `--out` that is not a folder, before any timing.

    counts: the flags that are at least 1.
    """
    for what in counts:
        if getattr(options, what) < 1:
            raise UserError(f"--{what}={getattr(options, what)}; expected at least 1")
    for what in ("seconds", "patience"):
        if not 0 < getattr(options, what) < math.inf:
            raise UserError(f"--{what}={getattr(options, what)}; expected a number above 0")
    check_place(options.out, "out")


def cases(options: argparse.Namespace) -> list[ModelCase]:
    """A case for each size and dtype. Raises `UserError` for an unknown name."""
    check_common(options)
    if options.side < 1:
        raise UserError(f"--side={options.side}; expected at least 1")
    choose("--encoder", options.encoder, ENCODERS)
    sizes, dtypes = options.sizes.split(","), options.dtypes.split(",")
    for size in sizes:
        choose("--sizes", size, UNET_SIZES)
    for dtype in dtypes:
        choose("--dtypes", dtype, DTYPES)
    return [
        ModelCase(size, options.encoder, options.side, options.batch_size, dtype) for size in sizes for dtype in dtypes
    ]


def write_record(name: str, options: argparse.Namespace, record: dict) -> Path:
    """Writes `NAME-DEVICE.json` into `--out`, with the settings and the provenance. Returns its path."""
    device = re.sub(r"[^a-z0-9]+", "-", jax.devices()[0].device_kind.lower()).strip("-")
    settings = {name: value for name, value in vars(options).items() if name != "out"}
    path = options.out / f"{name}-{device}.json"
    write_json(path, record | {"settings": settings, "provenance": provenance()})
    return path


def run_cases(
    name: str,
    description: str,
    make_program: Callable[[ModelCase], CompiledProgram],
    make_peer: Callable[..., Callable[[int], None]],
    arguments: Sequence[str] | None = None,
    unit: str = "images",
) -> int:
    """Runs the benchmark `name`: a line for every case and one record. Returns the exit code.

    unit: the plural name of the units of work, of which a step does one for each image of the batch.
    """
    escape_output()
    with OneSentence(name) as ending:
        check_devices()
        keep_freed_memory()  # as in every run of launch.py
        options = parse(name, description, arguments)
        todo = cases(options)
        machine = measure_machine(tuple(dict.fromkeys(case.dtype for case in todo)))
        measured = {"peak_flops_per_second": machine.peak, "bytes_per_second": machine.bandwidth}
        record = {"machine": measured, "cases": {}}
        for case in todo:
            patience = options.patience / len(todo)
            found = measure(case, machine, options, patience, make_program, make_peer, unit)
            record["cases"][case.name] = found
            path = write_record(name, options, record)  # after every case: a kill loses one
            print(line(case, found, unit), flush=True)
        print(path)
    return ending.code


def measure(
    case: ModelCase, machine: Machine, options: argparse.Namespace, patience: float, make_program, make_peer, unit: str
) -> dict:
    """One case: our step and the fastest way of the peer in turn. The search takes at most `patience` s."""
    program = make_program(case)
    contenders, peer = [program.contender], {"ways": None, "reason": "omitted (--no_peer)"}
    if not options.no_peer and not peers.torch_version():
        peer["reason"] = "PyTorch is not installed: pip install vdm_jax[peers]"
    elif not options.no_peer:
        best, ways = peers.fastest(make_peer, case, patience, program.steps_per_call)
        peer = {"torch": peers.torch_version(), "ways": ways}
        contenders += [best] if best else []
    calls = side_by_side(contenders, rounds=options.rounds, seconds=options.seconds)
    steps = {name: Timing([s / program.steps_per_call for s in timing.rounds]) for name, timing in calls.items()}
    ours = steps["vdm_jax"]
    speed = ours.record() | {f"{unit}_per_second": case.batch_size / ours.seconds}
    found = {
        "vdm_jax": speed | program.about | roofline(program.work, machine, case.dtype, ours.seconds),
        "torch": peer,
    }
    if len(contenders) > 1:
        fastest = contenders[1].name
        timing = steps[fastest]
        found["torch"] = peer | timing.record() | {"fastest": fastest, "memory_bytes": peers.peak_memory(contenders[1])}
        found["torch"][f"{unit}_per_second"] = case.batch_size / timing.seconds
        found["times_as_fast_as_torch"] = ratio(timing, ours)
    return found


def line(case: ModelCase, found: dict, unit: str) -> str:
    """The line of one case."""
    ours = found["vdm_jax"]
    text = f"{case.name}: {ours[f'{unit}_per_second']:.4g} {unit.replace('_', ' ')}/s"
    text += f", {ours['flops_per_second'] / 1e9:.4g} GFLOP/s"
    text += f", {ours['share_of_roofline']:.0%} of the roofline ({ours['limited_by']})"
    if "times_as_fast_as_torch" in found:
        times = found["times_as_fast_as_torch"]
        low, high = times["range"]
        text += f"; {times['median']:.2f} ({low:.2f} … {high:.2f}) times as fast as {found['torch']['fastest']}"
    return text
