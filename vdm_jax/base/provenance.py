"""The provenance of a number: commit, device, versions, time."""

import datetime
import importlib.metadata
import pathlib
import platform
import subprocess

import jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def commit() -> str:
    """The commit that this package runs from, with `-dirty` if files differ from it; `unknown` outside its checkout.

    A package that is installed in an environment may lie in the checkout of something else, which does not track it.
    """
    path = pathlib.Path(__file__).resolve()
    try:
        _git(path.parent, "ls-files", "--error-unmatch", path.name)
        return _git(path.parent, "describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: pathlib.Path, *arguments: str) -> str:
    git = ["git", "-C", str(folder), *arguments]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()


def provenance() -> dict:
    """Commit, device, versions and time of the running process, as a JSON object."""
    device = jax.devices()[0]
    return {
        "commit": commit(),
        "device": f"{jax.device_count()} x {device.device_kind} ({device.platform}, {platform.machine()})",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
