"""How fast do probes train together, one after the other, and in PyTorch? `python -m vdm_jax.benchmarks.probe_ensemble`

Members x examples a second for ensembles of 1, 64 and 1,000 probes, each way of batching timesteps and members; beside
them one jitted step a member, one member after the other, and the same in PyTorch (extra `peers`): same nets, same
batch, same noisy sprites, clipping and Adam, timed in turn in one run. One record, after every case.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.benchmarks import peers
from vdm_jax.benchmarks.command import check_common, write_record
from vdm_jax.benchmarks.measure import Contender, Timing, ratio, side_by_side
from vdm_jax.benchmarks.probe_cases import (
    CLIP,
    FEATURES,
    HIDDEN,
    LEARNING_RATE,
    UPDATES_A_ROUND,
    ProbeCase,
    arithmetic,
    conditions_of,
    make_ensemble,
    make_params,
)
from vdm_jax.benchmarks.program import memory_of
from vdm_jax.benchmarks.roofline import Machine, measure_machine
from vdm_jax.probing.batching import BATCHING
from vdm_jax.probing.ensemble import timestep_keys

ONE_BY_ONE = 8  # members that a sequential contender goes through; more take as long each


def together(case: ProbeCase, batching: str) -> tuple[Contender, dict]:
    """Rounds of the compiled ensemble; `run(n)` makes n rounds."""
    ensemble = make_ensemble(case, batching)
    keys, conditions = (
        timestep_keys(jax.random.key(0), np.arange(case.num_timesteps)),
        conditions_of(case.num_timesteps),
    )
    held = {"state": ensemble.start(ensemble.init(keys), keys, conditions)}
    index = jnp.zeros(case.num_timesteps, jnp.int32)
    began = time.perf_counter()
    compiled = ensemble.round.lower(held["state"], keys, conditions, index).compile()
    one_round = partial(compiled, *ensemble.round.bound)
    about = {"compile_seconds": time.perf_counter() - began}
    memory = memory_of(compiled)
    about["memory_bytes_per_member"] = None if memory is None else memory / case.num_members

    def run(count: int) -> None:
        for _ in range(count):
            held["state"] = one_round(held["state"], keys, conditions, index)
        jax.block_until_ready(held["state"])

    return Contender(batching, run), about


def one_by_one(case: ProbeCase) -> Contender:
    """One jitted update a call, member after member; `run(n)` makes n updates of each of a few."""
    several = min(case.num_members, ONE_BY_ONE)
    alone = make_ensemble(case._replace(num_members=1), "vmap")
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(LEARNING_RATE))
    (head,) = alone.members.heads.values()
    categorical = jnp.asarray(alone.members.categorical[0])

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params, opt_state, key, gamma):
        z, classes = alone.train.draw(key, {"gamma": gamma}, case.batch_size)

        def loss(params):
            return head.loss(alone.net.apply(params, z, gamma, categorical), classes[case.features[0]]).mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    gammas, keys = conditions_of(several)["gamma"], timestep_keys(jax.random.key(0), np.arange(several))
    params = [alone.net.init(named_key(key, "init"), alone.examples) for key in keys]
    held = [(one, optimizer.init(one)) for one in params]

    def run(count: int) -> None:
        for i in range(count):
            at = jax.random.fold_in(jax.random.key(1), i)
            for member in range(several):
                held[member] = update(*held[member], at, gammas[member])
        jax.block_until_ready(held)

    return Contender("sequential", run)


def measure(case: ProbeCase, machine: Machine, options: argparse.Namespace) -> dict:
    """Every way in turn; rates in members x examples a second, ratios round by round."""
    made = {batching: together(case, batching) for batching in options.batching.split(",")}
    contenders = [contender for contender, _ in made.values()] + [one_by_one(case)]
    member_updates = dict.fromkeys(made, UPDATES_A_ROUND * case.num_members)
    several = min(case.num_members, ONE_BY_ONE)
    member_updates["sequential"] = several
    torch, best = {"ways": None, "reason": "left out (--no_peer)"}, None
    if not options.no_peer and not peers.torch_version():
        torch["reason"] = "PyTorch is not installed: pip install vdm_jax[peers]"
    elif not options.no_peer:
        from vdm_jax.benchmarks.probe_peers import make_train

        best, ways = peers.fastest(partial(make_train, several), case, options.patience, several)
        torch = {"torch": peers.torch_version(), "ways": ways} | ({"fastest": best.name} if best else {})
    if best:
        contenders.append(best)
        member_updates[best.name] = several
    calls = side_by_side(contenders, rounds=options.rounds, seconds=options.seconds)
    times = {name: Timing([s / member_updates[name] for s in timing.rounds]) for name, timing in calls.items()}
    fastest = min(made, key=lambda name: times[name].seconds)
    num_params = sum(leaf.size for leaf in jax.tree.leaves(make_params(case)))
    work = arithmetic(case, num_params)
    limits = {"matrix products": machine.peak["float32"] / work["flops"], "memory": machine.bandwidth / work["bytes"]}
    found = {
        name: timing.record() | {"members_x_examples_per_second": case.batch_size / timing.seconds}
        for name, timing in times.items()
    }
    for batching, (_, about) in made.items():
        found[batching] |= about
    found["torch"] = torch | (found.pop(best.name) if best else {})
    return found | {
        "fastest": fastest,
        "num_parameters": num_params,
        "work_of_an_update": work,
        "share_of_peak": 1 / times[fastest].seconds / limits["matrix products"],
        "share_of_bandwidth": 1 / times[fastest].seconds / limits["memory"],
        "ratio_to_sequential": ratio(times["sequential"], times[fastest]),
        "ratio_to_pytorch": ratio(times[best.name], times[fastest]) if best else None,
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    what = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m vdm_jax.benchmarks.probe_ensemble", description=what)
    parser.add_argument("--nets", default="mlp", help=f"of {', '.join(HIDDEN)} (%(default)s)")
    parser.add_argument("--members", default="1,64,1000", help="4 a timestep where there are several (%(default)s)")
    parser.add_argument("--batching", default=",".join(BATCHING), help="of timesteps and members (%(default)s)")
    parser.add_argument("--batch_size", type=int, default=64, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="in which all are timed in turn (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each contender of a case (%(default)s)")
    parser.add_argument("--patience", type=float, default=60.0, help="s for finding PyTorch's best way (%(default)s)")
    parser.add_argument("--no_peer", action="store_true", help="leave PyTorch out")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="folder (%(default)s)")
    return parser.parse_args(arguments)


def cases(options: argparse.Namespace) -> list[ProbeCase]:
    """Net by net. Raises `UserError` for what is none."""
    nets, members = options.nets.split(","), options.members.split(",")
    for net in nets:
        choose("--nets", net, dict.fromkeys(HIDDEN))
    for batching in options.batching.split(","):
        choose("--batching", batching, dict.fromkeys(BATCHING))
    for number in members:
        if not number.isdecimal() or not (int(number) == 1 or (int(number) and int(number) % len(FEATURES) == 0)):
            raise UserError(f"--members={number}; expected 1, or a multiple of {len(FEATURES)}")
    check_common(options)
    return [ProbeCase(net, int(number), options.batch_size) for net in nets for number in members]


def line(case: ProbeCase, found: dict) -> str:
    """One case in a line."""
    ours = found[found["fastest"]]
    text = f"{case.name}: {ours['members_x_examples_per_second']:.4g} members x examples/s ({found['fastest']})"
    for what, key in (("one by one", "ratio_to_sequential"), ("PyTorch", "ratio_to_pytorch")):
        if found[key]:
            low, high = found[key]["range"]
            text += f"; {found[key]['median']:.2f} ({low:.2f} … {high:.2f}) times as fast as {what}"
    return text


def main(arguments: list[str] | None = None) -> int:
    """The whole benchmark; the exit code."""
    options = parse(arguments)
    try:
        todo = cases(options)
    except UserError as error:
        print(f"probe_ensemble: {error}", file=sys.stderr)
        return 2
    machine = measure_machine(("float32",))
    record = {"machine": {"peak_flops_per_second": machine.peak, "bytes_per_second": machine.bandwidth}, "cases": {}}
    for case in todo:
        record["cases"][case.name] = found = measure(case, machine, options)
        path = write_record("probe_ensemble", options, record)
        print(line(case, found), flush=True)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("probe_ensemble", main))
