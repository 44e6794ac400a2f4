"""Reads tensors from a PyTorch file, without PyTorch and without running code from the file.

Such a file is a pickle, which can call any function. This reader accepts only the names that a dict of tensors needs.
It reads both formats: the zip archive of PyTorch 1.6 and later, and the older sequence of pickles and numbers.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vdm_jax.base.errors import UserError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a saved state dict by name. Raises `UserError` if the file does not hold one."""
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            tree, read = _open_zip(file) if is_zip else _open_legacy(file)
            if not isinstance(tree, dict):
                raise pickle.UnpicklingError(f"it holds a {type(tree).__name__}, no dict of tensors")
            return {str(name): _gather(tensor, read) for name, tensor in tree.items() if isinstance(tensor, _Tensor)}
    except Exception as error:  # a damaged pickle may raise any error
        raise UserError(f"{path} cannot be read as a PyTorch file of tensors: {error}") from error


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


class _Unpickler(pickle.Unpickler):
    """Accepts a dict of tensors only, and collects the dtypes of its storages."""

    def __init__(self, file: io.BufferedIOBase):
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        }
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a dict of tensors does not need")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, _size, *view = pid
        if kind != "storage" or view not in ([], [None]):
            raise pickle.UnpicklingError(f"it asks for a stored {kind} of an unknown form")
        self.dtypes[str(key)] = dtype
        return _Storage(str(key), dtype)


def _open_zip(file: io.BufferedIOBase) -> tuple[Any, Callable[[_Storage], np.ndarray]]:
    archive = zipfile.ZipFile(file)
    (root,) = (name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("/data.pkl"))
    order = f"{root}byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise pickle.UnpicklingError("its numbers have the largest byte first")
    with archive.open(f"{root}data.pkl") as pickled:
        tree = _Unpickler(pickled).load()
    return tree, lambda storage: np.frombuffer(archive.read(f"{root}data/{storage.key}"), storage.dtype)


def _open_legacy(file: io.BufferedIOBase) -> tuple[Any, Callable[[_Storage], np.ndarray]]:
    if _Unpickler(file).load() != LEGACY_MAGIC or _Unpickler(file).load() != LEGACY_VERSION:
        raise pickle.UnpicklingError("it does not begin like one")
    _Unpickler(file).load()  # sizes of C's types on the machine that saved it
    unpickler = _Unpickler(file)
    tree, keys = unpickler.load(), _Unpickler(file).load()
    storages = {}
    for key in keys:
        dtype, size = unpickler.dtypes[key], int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(size * dtype.itemsize), dtype)
    return tree, lambda storage: storages[storage.key]


def _gather(tensor: _Tensor, read: Callable[[_Storage], np.ndarray]) -> np.ndarray:
    """The array of the tensor, by indices; NumPy checks them against the bounds of the storage."""
    if len(tensor.shape) != len(tensor.strides) or min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise pickle.UnpicklingError(f"a tensor of shape {tensor.shape} has strides {tensor.strides}")
    index = np.array(tensor.offset)
    for size, stride in zip(tensor.shape, tensor.strides, strict=True):
        index = index[..., None] + stride * np.arange(size)
    return np.asarray(read(tensor.storage)[index])
