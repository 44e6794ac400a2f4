"""Files as `torch.save` writes them, made without PyTorch: the zip archive and the older row of pickles."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from unittest import mock

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}


class Storage:
    def __init__(self, key, kind, numbers):
        self.key, self.kind, self.numbers = key, kind, numbers


def save(path, state, *, container, offset=0, strides=None):
    """`state` (names to arrays, or to anything that can be pickled). `offset`, `strides`: of every tensor, if not the
    array's own."""
    modules, rebuild = stand_ins()
    storages = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            view = (None,) if container == "legacy" else ()
            return ("storage", getattr(modules["torch"], value.kind), value.key, "cpu", value.numbers.size, *view)

        def reducer_override(self, value):
            if not isinstance(value, np.ndarray):
                return NotImplemented
            key = str(len(storages))
            storages[key] = Storage(key, STORAGES[value.dtype.str[1:]], np.array(value, order="C"))
            own = tuple(stride // value.itemsize for stride in storages[key].numbers.strides)
            return rebuild, (storages[key], offset, value.shape, strides or own, False, OrderedDict())

    def pickled(value):
        file = io.BytesIO()
        Pickler(file, protocol=2).dump(value)
        return file.getvalue()

    with mock.patch.dict(sys.modules, modules):
        tree = pickled(OrderedDict(state))
    if container == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", tree)
            archive.writestr("archive/byteorder", "little")
            for key, storage in storages.items():
                archive.writestr(f"archive/data/{key}", storage.numbers.tobytes())
        return
    with open(path, "wb") as file:
        for value in (MAGIC, VERSION, {"little_endian": True}):
            file.write(pickled(value))
        file.write(tree + pickled(sorted(storages)))
        for key in sorted(storages):
            numbers = storages[key].numbers
            file.write(numbers.size.to_bytes(8, "little") + numbers.tobytes())


def stand_ins():
    """Modules under PyTorch's names, for the pickler to look its globals up in."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise AssertionError("is named in a pickle, never called")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch._utils = utils
    return {"torch": torch, "torch._utils": utils}, _rebuild_tensor_v2
