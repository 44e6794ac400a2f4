"""From a PyTorch file to features: the converter, its refusals, and the network's numbers against a second one."""

import shutil

import jax
import numpy as np
import pytest
from reference_inception import NumpyOps, TorchOps, features, random_state
from torch_files import save

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.evals import inception_weights
from vdm_jax.evals.inception_weights import FID_SHA256, convert, main, read_weights
from vdm_jax.networks.inception import make_inception


@pytest.fixture(scope="module")
def state():
    return random_state()


@pytest.fixture(scope="module")
def source(tmp_path_factory, state):
    """A file like pytorch-fid's, but for its random numbers."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    save(path, state, container="legacy")
    return path


@pytest.fixture(scope="module")
def converted(source):
    """The npz that the command makes of it."""
    target = source.with_suffix(".npz")
    assert main([str(source), str(target), "--other-weights"]) == 0
    return target


def images(channels, height, width):
    """A noisy one, and a dark one that grows bright along the columns."""
    noise = np.random.default_rng(channels).random((2, height, width, channels), np.float32)
    noise[1] = 0.1 * noise[1] + 0.9 * np.linspace(0, 1, width, dtype=np.float32)[None, :, None] ** 3
    return noise


def check_features(converted, state, ops, images, side):
    """Features agree to 1e-4 of their size and 1e-3 of what tells the two images apart (found: 2e-5 and 7e-5)."""
    weights = read_weights(converted)
    ours = np.asarray(jax.jit(make_inception(side).apply)(weights.params, images))
    colour = np.broadcast_to(images, (*images.shape[:3], 3))
    theirs = features(np.moveaxis(colour, -1, 1), state, ops, side)
    assert ours.shape == theirs.shape == (2, 2048) and ours.dtype == np.float32
    error, apart = np.abs(ours - theirs).max(), np.abs(theirs[0] - theirs[1]).mean()
    print(
        f"largest difference: {error / theirs.mean():.1e} of the mean, {error / apart:.1e} of what tells images apart"
    )
    assert error < 1e-4 * theirs.mean() and error < 1e-3 * apart


@pytest.mark.slow
def test_features_are_those_of_a_numpy_network(converted, state):
    """At 139x139, which ends with 3x3 pixels before the mean, from colour images one of whose sides shrinks."""
    check_features(converted, state, NumpyOps(), images(3, 160, 100), side=139)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 320, 305)])
def test_features_are_those_of_a_pytorch_network(converted, state, shape):
    pytest.importorskip("torch", reason="PyTorch is not installed: the extra `peers` brings it")
    check_features(converted, state, TorchOps(), images(*shape), side=299)


def test_the_npz_says_where_it_comes_from(converted, source, capsys):
    weights = convert(source, source.with_name("again.npz"), other_weights=True)
    assert len(weights.source_sha256) == 64 and weights.source_sha256 != FID_SHA256
    assert str(np.load(converted)["source_sha256"]) == weights.source_sha256
    assert fingerprint(read_weights(converted).params) == fingerprint(weights.params) == weights.network().hash
    assert weights.network().resize == "299x299, bilinear without antialiasing"


def test_only_the_file_that_defines_the_fid_gives_an_fid(source, tmp_path, monkeypatch, capsys):
    assert FID_SHA256.startswith("6726825d"), "as pytorch-fid's file is named"
    with pytest.raises(UserError, match="not 6726825d0af5… of the weights that define the FID; --other-weights"):
        convert(source, tmp_path / "out.npz")
    assert main([str(source), str(tmp_path / "out.npz")]) == 2
    assert capsys.readouterr().err.startswith("inception_weights: ") and not list(tmp_path.iterdir())
    other = convert(source, tmp_path / "out.npz", other_weights=True)
    assert not other.define_fid and "other weights" in other.network().name
    monkeypatch.setattr(inception_weights, "FID_SHA256", other.source_sha256)
    same = convert(source, tmp_path / "out.npz")
    assert same.define_fid and same.network().name == "InceptionV3 of 2015-12-05"
    assert read_weights(tmp_path / "out.npz").define_fid


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("Mixed_6b.branch7x7_2.bn.running_var"), "Mixed_6b.branch7x7_2.bn.running_var is missing"),
        (
            lambda s: s.update({"fc.weight": np.zeros((1000, 2048), np.float32)}),
            r"\[1000, 2048\] and not \[1008, 2048\]",
        ),
        (lambda s: s.update({"AuxLogits.fc.bias": np.zeros(9, np.float32)}), "AuxLogits.fc.bias is none of its"),
        (lambda s: s["Mixed_7c.branch_pool.bn.bias"].__setitem__(3, np.nan), "bn.bias is not finite numbers"),
        (lambda s: s["Conv2d_1a_3x3.bn.running_var"].__setitem__(3, -1), "running_var has variances below 0"),
        (lambda s: [s.pop(name) for name in list(s) if name.endswith("bn.weight")], "; and 91 more"),
    ],
)
def test_another_network_is_told_by_its_first_tensors(state, tmp_path, monkeypatch, change, told):
    own = {name: array.copy() for name, array in state.items()}
    change(own)
    monkeypatch.setattr(inception_weights, "read_torch_file", lambda path: own)
    (tmp_path / "in.pth").write_bytes(b"")
    with pytest.raises(UserError, match=told):
        convert(tmp_path / "in.pth", tmp_path / "out.npz", other_weights=True)
    assert not (tmp_path / "out.npz").exists()


def test_mistaken_names_of_files(source, tmp_path, capsys):
    with pytest.raises(UserError, match="nowhere.pth cannot be read"):
        convert(tmp_path / "nowhere.pth", tmp_path / "out.npz")
    with pytest.raises(UserError, match="expected a name that ends in .npz"):
        convert(source, source, other_weights=True)
    assert main([str(source), str(source / "out.npz"), "--other-weights"]) == 1, "a file is no folder"
    assert "out.npz cannot be written" in capsys.readouterr().err


def test_what_is_no_converted_file_names_the_command(source, converted, tmp_path):
    shutil.copy(source, tmp_path / "unconverted.pth")
    save(tmp_path / "zip.pth", {"a": np.zeros(3)}, container="zip")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "torn.npz").write_bytes(converted.read_bytes()[:10_000])
    for path in [*tmp_path.iterdir(), tmp_path / "nowhere.npz", tmp_path]:
        with pytest.raises(UserError, match=r"python -m vdm_jax.evals.inception_weights FILE.pth OUT.npz"):
            read_weights(path)


def test_an_npz_with_a_tensor_too_few(converted, tmp_path):
    with np.load(converted) as file:
        arrays = {name: file[name] for name in file.files if name != "Mixed_5b/branch1x1/scale"}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UserError, match="Mixed_5b/branch1x1/scale is missing"):
        read_weights(tmp_path / "x.npz")
