"""Weights of the InceptionV3 of the Fréchet inception distance, converted from the user's copy of pytorch-fid's file.

    python -m vdm_jax.evals.inception_weights pt_inception-2015-12-05-6726825d.pth inception.npz

writes the npz file that `config.evaluate.inception` names. The source is identified by its SHA-256. Another file needs
`--other-weights`; its scores are not called FID.
"""

import argparse
import functools
import hashlib
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_file
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.evals.frechet import FeatureNetwork
from vdm_jax.evals.torch_file import read_torch_file
from vdm_jax.networks.inception import NUM_CLASSES, NUM_FEATURES, SIDE, make_inception

FID_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
COMMAND = "python -m vdm_jax.evals.inception_weights FILE.pth OUT.npz"
UNREADABLE = (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, zipfile.BadZipFile, zlib.error)
SOURCE = "source_sha256"
TORCH_NAMES = {
    "kernel": "conv.weight",
    "scale": "bn.weight",
    "bias": "bn.bias",
    "mean": "bn.running_mean",
    "var": "bn.running_var",
}
CLASSIFIER = {
    "fc.weight": (NUM_CLASSES, NUM_FEATURES),
    "fc.bias": (NUM_CLASSES,),
}  # torchvision's file has other shapes
NAMED = 3  # most faults that an error message lists


class InceptionWeights(NamedTuple):
    """Parameters of `make_inception`, and the SHA-256 of their PyTorch file."""

    params: PyTree
    source_sha256: str

    @property
    def define_fid(self) -> bool:
        """Whether these weights define the FID."""
        return self.source_sha256 == FID_SHA256

    def network(self) -> FeatureNetwork:
        """The network, as it is reported with every score."""
        name = "InceptionV3 of 2015-12-05" if self.define_fid else "InceptionV3 with other weights than the FID's"
        return FeatureNetwork(name, fingerprint(self.params), f"{SIDE}x{SIDE}, bilinear without antialiasing")


def convert(source: Path, target: Path, *, other_weights: bool = False) -> InceptionWeights:
    """Reads the PyTorch file and writes the npz file. Raises `UserError` if names or shapes differ from the network, or
    if the file is not that of the FID, unless `other_weights`."""
    if target.suffix != ".npz":
        raise UserError(f"{target}: expected a name that ends in .npz, for the converted weights")
    try:
        with open(source, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error}") from error
    if sha256 != FID_SHA256 and not other_weights:
        found = f"{source} has SHA-256 {sha256[:12]}…, not {FID_SHA256[:12]}… of the weights that define the FID"
        raise UserError(f"{found}; --other-weights accepts it, and its scores are not called FID")
    tensors = read_torch_file(source)
    shapes = {}
    for name, shape in _shapes().items():
        shapes[_torch_name(name)] = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
    found = {name: array for name, array in tensors.items() if not name.endswith("num_batches_tracked")}
    _check(source, found, shapes | CLASSIFIER)
    arrays = {}
    for name in _shapes():
        array = np.asarray(tensors[_torch_name(name)], np.float32)
        arrays[name] = np.ascontiguousarray(array.transpose(2, 3, 1, 0)) if array.ndim == 4 else array
    write_file(target, lambda file: np.savez(file, **arrays, **{SOURCE: np.array(sha256)}))
    return InceptionWeights(_nested(arrays), sha256)


def read_weights(path: str | Path) -> InceptionWeights:
    """Reads a file of `convert`. Raises `UserError` with the command that writes such a file if it is another file."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {str(path)!r} of InceptionV3 weights; `{COMMAND}` makes one")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        sha256 = str(arrays.pop(SOURCE)[()])
    except UNREADABLE as error:
        raise UserError(f"{path} is not an npz file of InceptionV3 weights; `{COMMAND}` makes one") from error
    _check(path, arrays, _shapes())
    return InceptionWeights(_nested(arrays), sha256)


def main(arguments: Sequence[str]) -> int:
    """The command line. Exit codes: 0; 1: the file cannot be written; 2: invalid request. Errors are one sentence."""
    parser = argparse.ArgumentParser(prog="inception_weights", description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="FILE.pth", help="pt_inception-2015-12-05-6726825d.pth")
    parser.add_argument("target", type=Path, metavar="OUT.npz", help="the file that config.evaluate.inception names")
    parser.add_argument("--other-weights", action="store_true", help="accept weights that do not define the FID")
    given = parser.parse_args(arguments)
    try:
        weights = convert(given.source, given.target, other_weights=given.other_weights)
    except UserError as error:
        print(f"inception_weights: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"inception_weights: {given.target} cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"{given.target}: {weights.network().name}, SHA-256 of the source {weights.source_sha256}")
    return 0


@functools.cache
def _shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each parameter by its path, such as `Mixed_5b/branch1x1/kernel`."""
    params = jax.eval_shape(make_inception().init, jax.random.key(0))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(part.key for part in path): leaf.shape for path, leaf in leaves}


def _torch_name(name: str) -> str:
    layer, _, kind = name.rpartition("/")
    return f"{layer.replace('/', '.')}.{TORCH_NAMES[kind]}"


def _check(path: Path, found: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `UserError` that names the first tensors that are missing, of another shape, invalid, or unknown."""
    faults = [f"{name} is missing" for name in shapes if name not in found]
    for name, array in found.items():
        if name not in shapes:
            faults.append(f"{name} is none of its tensors")
        elif array.shape != shapes[name]:
            faults.append(f"{name} is {list(array.shape)} and not {list(shapes[name])}")
        elif array.dtype.kind != "f" or not np.isfinite(array).all():
            faults.append(f"{name} is not finite numbers")
        elif name.endswith("var") and array.min() < 0:
            faults.append(f"{name} has variances below 0")
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise UserError(f"{path} does not hold the FID's InceptionV3: {'; '.join(faults[:NAMED])}{more}")


def _nested(arrays: Mapping[str, np.ndarray]) -> PyTree:
    params: dict[str, dict] = {}
    for name, array in arrays.items():
        *parts, last = name.split("/")
        layer = params
        for part in parts:
            layer = layer.setdefault(part, {})
        layer[last] = array
    return params


if __name__ == "__main__":
    sys.exit(exit_code("inception_weights", lambda: main(sys.argv[1:])))
