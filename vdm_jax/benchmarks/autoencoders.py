"""What does a member of an ensemble of autoencoders cost? `python -m vdm_jax.benchmarks.autoencoders`

Seconds of an update of one of 8 members that differ in their seeds: of the ensemble, whose members share one compiled
step, in turn (`in_turn`) and stacked (`at_once`); of as many separate runs, each with a step that it compiles itself;
and of the same network, loss and optimizer in PyTorch (extra `peers`). All are timed in turn in one run. Seconds of
a whole training add the compilation to `config.train.num_steps` updates. One record.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.benchmarks import peers
from vdm_jax.benchmarks.command import check_common, write_record
from vdm_jax.benchmarks.measure import Contender, Timing, ratio, side_by_side
from vdm_jax.experiments.autoencoder.at_once import OWN, MemberTraining, step_of_a_member
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment, build_autoencoder
from vdm_jax.experiments.autoencoder.training import make_players, make_training
from vdm_jax.experiments.common.checkpoints import initial_params
from vdm_jax.experiments.common.train import make_step, step_key
from vdm_jax.launch.config_files import load_config
from vdm_jax.launch.memory import keep_freed_memory
from vdm_jax.train.members import MEMBERS, devices_of, stacked_step
from vdm_jax.train.state import TrainState, as_vectors, init_state

SEPARATE = "separate"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class TrainingWay(NamedTuple):
    """A way to train all members: `contender.run(n)` makes n updates of each; what its programs took to compile."""

    contender: Contender
    compile_seconds: float


class EnsembleMembers(NamedTuple):
    """The runs of an ensemble."""

    variant: str
    experiments: tuple[AutoencoderExperiment, ...]

    @property
    def first(self) -> AutoencoderExperiment:
        return self.experiments[0]

    def prepared(self, *, shared: bool = True) -> Iterator[MemberTraining]:
        """What a training takes, as `experiments.autoencoder.training` prepares it. shared: with the functions of the
        first member, which are compiled once."""
        for experiment in self.experiments:
            params = initial_params(experiment.model, experiment.config.train.seed)
            model = self.first.model if shared else experiment.model
            training = make_training(experiment, model, make_mesh().size)
            yield MemberTraining(
                experiment.config, Path(), training, params, make_players(experiment.config.train, params)
            )

    @property
    def is_vae(self) -> bool:
        """Whether it is a variant that `autoencoder_peers` has: the bound, dense latents, images of two levels."""
        config, model = self.first.config, self.first.model
        plain = not model.num_classes and model.reconstruction is None and model.regulariser == "none"
        fixed = config.rate.mode == "fixed" and config.model.likelihood == "bernoulli"
        return plain and fixed and config.model.backbone == "fc" and model.code == "gaussian"


def members_of(variant: str, num_members: int) -> EnsembleMembers:
    """A variant of configs/autoencoder.py with the seeds 0, 1, … Raises `UserError`."""
    found = []
    for seed in range(num_members):
        config = load_config(f"configs/autoencoder.py:{variant}")
        config.train.seed = seed
        found.append(build_autoencoder(config))
    return EnsembleMembers(variant, tuple(found))


def first_state(member: MemberTraining) -> TrainState:
    return as_vectors(init_state(member.params, member.optimizer, member.training.carry))


def one_after_the_other(members: EnsembleMembers, clock: Callable[[], float], *, shared: bool) -> TrainingWay:
    """All updates of a member, then those of the next. shared: with the step of the first, or each with its own."""
    mesh, held, steps, seconds = make_mesh(), [], [], 0.0
    for member in members.prepared(shared=shared):
        state, data = replicate(first_state(member), mesh), replicate(member.training.data, mesh)
        if not steps or not shared:
            step = make_step(member.training, member.config.train, member.optimizer, mesh)
            began = clock()
            compiled = step.lower(state, data).compile()
            seconds += clock() - began
        steps.append((compiled, data, step_key(member.config.train)))
        held.append(state)

    def run(count: int) -> None:
        for i, (step, data, key) in enumerate(steps):
            for _ in range(count):
                held[i], _ = step(held[i], data, key)
            jax.block_until_ready(held[i])

    return TrainingWay(Contender("in_turn" if shared else SEPARATE, run), seconds)


def at_once(members: EnsembleMembers, clock: Callable[[], float]) -> TrainingWay:
    """The stack, split over the devices."""
    trainings = list(members.prepared())
    step, shared = step_of_a_member(trainings[0])
    mesh = devices_of(len(trainings))

    def stack(trees: list[Any]) -> Any:
        found = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
        return jax.device_put(found, NamedSharding(mesh, PartitionSpec(MEMBERS)))

    held = stack([first_state(member) for member in trainings])
    own = stack([{OWN: member.training.data[OWN]} for member in trainings])
    keys = stack([step_key(member.config.train) for member in trainings])
    shared = jax.device_put(shared, NamedSharding(mesh, PartitionSpec()))
    jitted = stacked_step(step, mesh)
    began = clock()
    compiled = jitted.lower(held, shared, own, keys).compile()
    seconds = clock() - began

    def run(count: int) -> None:
        nonlocal held
        for _ in range(count):
            held, _ = compiled(held, shared, own, keys)
        jax.block_until_ready(held)

    return TrainingWay(Contender("at_once", run), seconds)


WAYS = {"in_turn": functools.partial(one_after_the_other, shared=True), "at_once": at_once}


@contextmanager
def nothing_cached() -> Iterator[None]:
    """Programs are compiled, not read from the folder of compiled programs."""
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)


def measure(members: EnsembleMembers, options: argparse.Namespace) -> dict:
    """Every way in turn. Seconds are those of one update of one member; ratios are taken round by round."""
    clock = CLOCKS[options.clock]
    with nothing_cached():
        ways = {name: WAYS[name](members, clock) for name in options.ways.split(",")}
        ways[SEPARATE] = one_after_the_other(members, clock, shared=False)
    contenders = [way.contender for way in ways.values()]
    best, torch = _peer(members, options)
    contenders += [best] if best else []
    calls = side_by_side(contenders, rounds=options.rounds, seconds=options.seconds, clock=clock)
    config, num_members = members.first.config.train, len(members.experiments)
    steps = {name: Timing([s / num_members for s in timing.rounds]) for name, timing in calls.items()}
    compiling = {name: way.compile_seconds / num_members for name, way in ways.items()}
    whole = {name: _whole(timing, config, compiling.get(name, 0.0)) for name, timing in steps.items()}
    found = {
        name: timing.record()
        | {"examples_per_second": config.batch_size / timing.seconds, "seconds_of_a_training": whole[name].seconds}
        | ({"compile_seconds_per_member": compiling[name]} if name in compiling else {})
        for name, timing in steps.items()
    }
    fastest = min((name for name in ways if name != SEPARATE), key=lambda name: steps[name].seconds)
    others = {SEPARATE: SEPARATE} | ({"torch": best.name} if best else {})
    found["torch"] = torch | (found.pop(best.name) if best else {})
    return found | {
        "fastest": fastest,
        "num_members": num_members,
        "num_parameters": num_parameters(jax.eval_shape(members.first.model.init, jax.random.key(0))),
        "num_steps": config.num_steps,
        "batch_size": config.batch_size,
        "ratio_of_steps": {name: ratio(steps[other], steps[fastest]) for name, other in others.items()},
        "ratio_of_trainings": {name: ratio(whole[other], whole[fastest]) for name, other in others.items()},
    }


def _whole(step: Timing, config: ConfigDict, compiling: float) -> Timing:
    """Seconds of a member's training and its share of the compilation, in each round."""
    return Timing([compiling + config.num_steps * seconds for seconds in step.rounds])


def _peer(members: EnsembleMembers, options: argparse.Namespace) -> tuple[Contender | None, dict]:
    if options.no_peer:
        return None, {"ways": None, "reason": "omitted (--no_peer)"}
    if not peers.torch_version():
        return None, {"ways": None, "reason": "PyTorch is not installed: pip install vdm_jax[peers]"}
    from vdm_jax.benchmarks.autoencoder_peers import PeerCase, make_train

    data = members.first.data
    levels = np.asarray(data.levels_of(jnp.asarray(data.train.stored)))
    case = PeerCase(members.variant, list(members.prepared()), levels, data.pixel_values)
    best, ways = peers.fastest(make_train, case, options.patience, len(case.members))
    return best, {"torch": peers.torch_version(), "ways": ways} | ({"fastest": best.name} if best else {})


def parse(arguments: list[str] | None) -> argparse.Namespace:
    what = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m vdm_jax.benchmarks.autoencoders", description=what)
    parser.add_argument("--variant", default="vae-16", help="of configs/autoencoder.py (%(default)s)")
    parser.add_argument("--members", type=int, default=8, help="that differ in their seeds (%(default)s)")
    parser.add_argument("--ways", default=",".join(WAYS), help="of the ensemble (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="in which all are timed in turn (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each contender (%(default)s)")
    parser.add_argument("--patience", type=float, default=60.0, help="s for finding PyTorch's best way (%(default)s)")
    parser.add_argument(
        "--clock",
        default="wall",
        help="wall; cpu: seconds of the process, for one core of a busy machine (%(default)s)",
    )
    parser.add_argument("--no_peer", action="store_true", help="omit PyTorch")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="folder (%(default)s)")
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> EnsembleMembers:
    """The members. Raises `UserError` for what cannot be timed."""
    check_common(options, ("members", "rounds"))
    for way in options.ways.split(","):
        choose("--ways", way, WAYS)
    choose("--clock", options.clock, CLOCKS)
    members = members_of(options.variant, options.members)
    if members.first.model.is_two_player:
        raise UserError(f"--variant={options.variant}: a discriminator is trained as well; expected another, as vae-16")
    if not options.no_peer and not members.is_vae:
        raise UserError(f"--variant={options.variant} has no network in PyTorch; expected vae-N, or add --no_peer")
    return members


def line(options: argparse.Namespace, found: dict) -> str:
    """The result in a line."""
    ours = found[found["fastest"]]
    text = f"{options.variant}, {found['num_members']} members: {ours['seconds_per_step'] * 1e3:.3g} ms an update"
    text += f" ({found['fastest']})"
    for what, name in (("separate runs", SEPARATE), ("PyTorch", "torch")):
        if name in found["ratio_of_steps"]:
            steps, trainings = found["ratio_of_steps"][name], found["ratio_of_trainings"][name]
            low, high = steps["range"]
            text += f"; {steps['median']:.2f} ({low:.2f} … {high:.2f}) times as fast as {what}"
            text += f", {trainings['median']:.2f} with compilation and {found['num_steps']:,} updates"
    return text


def main(arguments: list[str] | None = None) -> int:
    """The whole benchmark; the exit code."""
    options = parse(arguments)
    try:
        members = check(options)
    except UserError as error:
        print(f"autoencoders: {error}", file=sys.stderr)
        return 2
    keep_freed_memory()  # as in every run of launch.py
    found = measure(members, options)
    path = write_record("autoencoders", options, found)
    print(line(options, found))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("autoencoders", main))
