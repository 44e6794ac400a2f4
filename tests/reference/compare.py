"""Does a rebuilt checkout give the numbers of an older one? Kept until the rebuilding ends.

    python tests/reference/compare.py make CHECKOUT FOLDER [CASE …]     # runs the cases there, each in FOLDER/CASE
    python tests/reference/compare.py check FOLDER_OLD FOLDER_NEW       # compares what they left, number by number
    python tests/reference/compare.py reread CHECKOUT FOLDER_OLD FOLDER # evaluates the old checkpoints by CHECKOUT

`check` prints a line a file: equal to the bit, or the largest relative difference and where it is. Times, commits,
devices, settings and file paths are not numbers and are passed over.
"""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

SHORT = ["--config.evaluate.passes=1", "--config.evaluate.curve_points=5", "--config.evaluate.curve_images=50",
         "--config.evaluate.frechet_images=20", "--config.sample.num_steps=10", "--config.sample.num_images=8",
         "--config.evaluate.num_images=60", "--config.evaluate.probe_images=200", "--config.sample.guided_sources=2",
         "--config.sample.guided_per_source=2", "--config.evaluate.curve_passes=1"]  # fmt: skip
TRAIN = ["--config.train.num_steps=20", "--config.train.log_every=1", "--config.train.eval_every=10",
         "--config.train.checkpoint_every=20", "--config.train.eval_passes=1"]  # fmt: skip
DDPM = ["--config.evaluate.passes=1", "--config.evaluate.frechet_images=20", "--config.evaluate.num_images=60",
        "--config.sample.num_steps=10", "--config.sample.num_images=8"]  # fmt: skip
SPRITES = ["--config.evaluate.coverage_images=20", "--config.evaluate.reader_images=300",
           "--config.train.eval_images=20", "--config.evaluate.reader_steps=20"]  # fmt: skip
CASES = {
    "target": ["digits.py:target", *TRAIN, *SHORT],
    "unconditional": ["digits.py:unconditional", *TRAIN, *SHORT],
    "free_bits": ["digits.py:free_bits", *TRAIN, "--jobs=train"],
    "mmd": ["digits.py:mmd", *TRAIN, "--jobs=train"],
    "w_dropout": ["digits.py:w_dropout", *TRAIN, "--jobs=train"],
    "high_noise": ["digits.py:high_noise", *TRAIN, "--jobs=train"],
    "none": ["digits.py:none", *TRAIN, "--jobs=train"],
    "learned_prior": ["digits.py:target_learned_prior", *TRAIN, *SHORT],
    "monotone": ["digits.py:beta1", "--config.diffusion.schedule=monotone", *TRAIN, *SHORT],
    "table": ["digits.py:beta1", "--config.diffusion.schedule=cosine", "--config.diffusion.target=v", *TRAIN, *SHORT],
    "x_min_snr": ["digits.py:beta1", "--config.diffusion.target=x", "--config.diffusion.weighting=min_snr",
                  "--config.train.accumulate=2", *TRAIN, "--jobs=train"],  # fmt: skip
    "ddpm-digits-linear": ["ddpm.py:digits-linear", *TRAIN, *DDPM],
    "ddpm-digits-dirac": ["ddpm.py:digits-dirac", *TRAIN, *DDPM],
    "ddpm-sparse-linear": ["ddpm.py:sparse-linear", *TRAIN, *DDPM, *SPRITES],
    "ddpm-sparse-dirac": ["ddpm.py:sparse-dirac", *TRAIN, *DDPM, *SPRITES],
    "exact-digits": ["exact.py:digits-linear", "--config.exact.num_timesteps=11"],
    "quick": ["probes.py:quick"],
    "model-chains": ["probes.py:sparse-linear", "--jobs=exact,chains,chain_probes,report",
                     "--config.exact.num_timesteps=5",
                     "--config.exact.max_queries=400",
                     "--config.chains.samplers=exact,ancestral:10,model-ddim:10",
                     "--config.chains.num_queries=40", "--config.chains.batch_size=20",
                     "--config.chains.readers=exact,net",
                     "--config.chains.reader_images=300", "--config.chains.reader_steps=20",
                     "--config.chain_probes.samplers=model-ancestral:10", "--config.chain_probes.num_chains=200",
                     "--config.chain_probes.num_validation=64", "--config.chain_probes.num_test=128",
                     "--config.chain_probes.told_updates=16", "--config.probe.num_updates=20",
                     "--config.probe.updates_per_round=10", "--config.probe.warm_updates=20",
                     "--config.chains.model=../ddpm-sparse-linear", "--config.chains.checkpoint=latest"],  # fmt: skip
}  # fmt: skip
DRY = ("digits.py", "collapse.py", "mnist.py", "cifar10.py", "ddpm.py", "probes.py", "exact.py")
NEW: set[str] = set()  # keys that the newer checkout alone has
NOT_NUMBERS = (
    "provenance",
    "settings",
    "seconds",
    "images_per_second",
    "commits",
    "time",
    "config",
    "fingerprint",
    "owner",
    "entropy_nats",  # newer than the old checkout
    "bound_minus_entropy_nats",
)


def make(checkout: pathlib.Path, folder: pathlib.Path, names: list[str]) -> None:
    """Runs each case where it is not done yet; and lists each sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or CASES:
        config, *flags = CASES[name]
        if "told_updates" not in (checkout / "configs" / "probes.py").read_text():
            flags = [flag.replace(".told_", ".real_or_generated_") for flag in flags]
        workdir = (folder / name).absolute()
        if (workdir / ".done").exists():
            continue
        workdir.mkdir(exist_ok=True)
        command = [
            sys.executable,
            str(checkout / "launch.py"),
            f"--config={checkout}/configs/{config}",
            f"--workdir={workdir}",
            *flags,
        ]
        with open(folder / f"{name}.log", "w") as log:
            code = subprocess.run(command, cwd=workdir, stdout=log, stderr=subprocess.STDOUT).returncode
        print(name, "exit", code, flush=True)
        if code == 0:
            (workdir / ".done").touch()
    for config in DRY:
        command = [
            sys.executable,
            str(checkout / "launch.py"),
            f"--config={checkout}/configs/{config}",
            "--sweep",
            "--dry_run",
            "--workdir=swept",
        ]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True)
        listed = done.stdout.replace(f"{checkout}/", "").replace(str(checkout).lstrip("/") + "/", "") + done.stderr
        (folder / f"dry-{config}.txt").write_text(listed.replace(sys.executable, "python"))


def reread(checkout: pathlib.Path, old: pathlib.Path, folder: pathlib.Path) -> None:
    """Jobs after the training, by CHECKOUT, on copies of the old runs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, *flags) in CASES.items():
        jobs = [flag for flag in flags if flag.startswith("--jobs=")]
        if not (old / name / "checkpoints").exists() or jobs:
            continue
        workdir = (folder / name).absolute()
        shutil.copytree(old / name, workdir, dirs_exist_ok=True)
        for left in ("evaluate.json", "evaluate_images.npz", "evaluate_curves.npz", "embeddings.npz"):
            (workdir / left).unlink(missing_ok=True)
        command = [
            sys.executable,
            str(checkout / "launch.py"),
            f"--workdir={workdir}",
            *flags,
            "--jobs=evaluate,sample,report",
        ]
        with open(folder / f"{name}.log", "w") as log:
            print(
                name,
                "exit",
                subprocess.run(command, cwd=workdir, stdout=log, stderr=subprocess.STDOUT).returncode,
                flush=True,
            )


def check(old: pathlib.Path, new: pathlib.Path) -> int:
    """Prints what differs; returns how many files do."""
    bad = 0
    for path in sorted(p for p in old.rglob("*") if p.suffix in (".json", ".jsonl", ".npz", ".txt")):
        relative = path.relative_to(old)
        if "checkpoints" in relative.parts or path.name in ("config.json", "data.json"):
            continue
        other = new / relative
        if not other.exists():
            if (new / relative.parts[0]).exists():
                print(f"MISSING    {relative}")
                bad += 1
            continue
        worst, where = differences(load(path), load(other), path.name)
        bad += worst > 0
        print(f"{'equal     ' if worst == 0 else f'{worst:.1e}   '} {relative}{f'  at {where}' if worst else ''}")
    print(*(f"new key    {key}" for key in sorted(NEW)), sep="\n")
    return bad


def load(path: pathlib.Path):
    """Plain values or arrays."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    if path.suffix == ".txt":
        return path.read_text().splitlines()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text())


def differences(a, b, where: str) -> tuple[float, str]:
    """(largest relative difference, where); infinity for what is of another kind, missing or another text."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = [(0.0, "")]
        for key in sorted(set(a) | set(b)):
            if key in NOT_NUMBERS:
                continue
            if key not in a:
                NEW.add(f"{where}.{key}")
            elif key not in b:
                found.append((math.inf, f"{where}.{key} is missing"))
            else:
                found.append(differences(a[key], b[key], f"{where}.{key}"))
        return max(found, key=lambda pair: pair[0])
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return math.inf, f"{where}: {len(a)} and {len(b)} entries"
        return max(
            [(0.0, ""), *(differences(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True)))],
            key=lambda p: p[0],
        )
    if isinstance(a, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return math.inf, f"{where}: {a.dtype}{a.shape} and {b.dtype}{b.shape}"
        if a.dtype.kind not in "fiub":
            return (0.0, "") if (a == b).all() else (math.inf, where)
        if a.size == 0 or np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return 0.0, ""
        a, b = a.astype(float), b.astype(float)
        return float(np.nanmax(abs(a - b)) / max(np.nanmax(abs(a)), 1e-30)), where
    if isinstance(a, float | int) and isinstance(b, float | int):
        if a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)):
            return 0.0, ""
        return abs(a - b) / max(abs(a), abs(b), 1e-30), f"{where}: {a} and {b}"
    return (0.0, "") if a == b else (math.inf, f"{where}: {str(a)[:80]!r} and {str(b)[:80]!r}")


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    paths = [pathlib.Path(text).resolve() for text in rest[:3]]
    if what == "make":
        make(paths[0], paths[1], rest[2:])
    elif what == "reread":
        reread(*paths)
    else:
        sys.exit(min(check(*paths[:2]), 1))
