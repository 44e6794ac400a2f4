"""PyTorch's files without PyTorch; with it, where it is installed, those it writes itself."""

import os
import pickle
import zipfile

import numpy as np
import pytest
from torch_files import save

from vdm_jax.base.errors import UserError
from vdm_jax.evals.torch_file import read_torch_file

CONTAINERS = ("zip", "legacy")
STATE = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "b": np.linspace(0, 1, 5),
    "steps": np.array(12),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_tensor_comes_back(tmp_path, container):
    save(tmp_path / "x.pth", STATE | {"epoch": 3}, container=container)
    found = read_torch_file(tmp_path / "x.pth")
    assert list(found) == list(STATE), "what is no tensor is left out"
    for name, array in STATE.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("container", CONTAINERS)
def test_strides_are_followed(tmp_path, container):
    """A transposed tensor, saved as PyTorch saves one: the storage as it lies, and the steps through it."""
    save(tmp_path / "x.pth", {"t": STATE["a.weight"][0]}, container=container, strides=(1, 3))
    expected = STATE["a.weight"][0].reshape(-1)[np.add.outer([0, 1, 2], [0, 3, 6, 9])]
    np.testing.assert_array_equal(read_torch_file(tmp_path / "x.pth")["t"], expected)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_pickle_that_calls_is_refused_and_not_obeyed(tmp_path, container):
    save(tmp_path / "x.pth", STATE | {"harm": Harm(tmp_path / "made")}, container=container)
    with pytest.raises(UserError, match=r"asks for \w+\.mkdir, which a dict of tensors does not need"):
        read_torch_file(tmp_path / "x.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "layout", [{"offset": 1}, {"strides": (12, 4, 2)}, {"strides": (12, 4, -1)}, {"strides": (1,)}]
)
def test_a_tensor_stays_inside_its_storage(tmp_path, container, layout):
    save(tmp_path / "x.pth", {"a": STATE["a.weight"]}, container=container, **layout)
    with pytest.raises(UserError, match="cannot be read as a PyTorch file"):
        read_torch_file(tmp_path / "x.pth")


def cut(path):
    save(path, STATE, container="legacy")
    path.write_bytes(path.read_bytes()[:-40])


def without_pickle(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("something/else", b"")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("<html>404</html>"),
        lambda path: path.write_bytes(b"PK\x03\x04 torn"),
        lambda path: path.write_bytes(pickle.dumps({"a": 1})),
        lambda path: path.write_bytes(b"".join(map(pickle.dumps, (0x1950A86A20F9469CFC6C, 1001, {}, [1.0], [])))),
        without_pickle,
        cut,
        lambda path: None,
    ],
    ids=["empty", "text", "torn zip", "a pickle", "a list", "a zip", "cut short", "no file"],
)
def test_other_files_are_told_in_a_sentence(tmp_path, write):
    write(tmp_path / "x.pth")
    with pytest.raises(UserError, match="cannot be read as a PyTorch file of tensors: ."):
        read_torch_file(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_itself_writes(tmp_path, zipped):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra `peers` brings it")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.BatchNorm2d(4))
    state = net.to(memory_format=torch.channels_last).state_dict()
    state["half"], state["parameter"] = torch.ones(3, dtype=torch.float16), torch.nn.Parameter(torch.arange(3.0))
    state["view"] = torch.arange(12.0).reshape(3, 4)[1:, ::2]
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = read_torch_file(tmp_path / "x.pth")
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy())
