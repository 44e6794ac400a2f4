"""First stages of diffusers: numbers of that library, names and shapes of tensors, and what is refused."""

import importlib.util
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.networks.diffusers import make_diffusers, nearest_codes
from vdm_jax.networks.diffusers_weights import (
    expected_tensors,
    is_diffusers,
    read_config,
    read_diffusers,
    read_tensors,
    to_params,
)

SOURCE = pathlib.Path(__file__).with_name("diffusers_reference.py")
spec = importlib.util.spec_from_file_location("diffusers_reference", SOURCE)
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)
PATH = pathlib.Path("config.json")
CASES = tuple(reference.CONFIGS)
PLAIN, PLAIN_SIDE = reference.CONFIGS["plain"]


def built(settings, side):
    config = read_config(settings, PATH)
    return config, make_diffusers(config, (side, side, config.in_channels))


def shares(found, expected):
    """The largest error as a share of the largest number."""
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "spatial")) for n in CASES])
def test_numbers_are_those_of_the_library(name):
    settings, side = reference.CONFIGS[name]
    config, backbone = built(settings, side)
    with np.load(reference.FILE) as file:
        there = {key: file[f"{name}_{key}"] for key in ("mean", "variance", "decoded") if f"{name}_{key}" in file}
    params = to_params(backbone, reference.weights(expected_tensors(backbone)), "here")
    moments = jax.jit(backbone.encoder.apply)(params["encoder"], jnp.asarray(reference.images(settings, side)))
    mean, logvar = jax.device_get(moments)
    offset, scale = np.float32(config.offset), np.float32(config.scale)
    assert mean.shape[1:] == backbone.latent_shape
    assert shares(mean / scale + offset, there["mean"]) < 1e-5
    assert (logvar is None) == ("variance" not in there)
    if logvar is not None:
        assert shares(np.exp(logvar) / scale**2, there["variance"]) < 1e-5
    x = (reference.codes(mean.shape) - offset) * scale
    decoded = jax.jit(backbone.decoder.apply)(params["decoder"], jnp.asarray(x))
    assert shares(decoded, there["decoded"]) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_file_holds_what_the_library_gives(name):
    pytest.importorskip("diffusers", reason="extra peers")
    with np.load(reference.FILE) as file:
        for key, value in reference.library(*reference.CONFIGS[name]).items():
            assert shares(value, file[f"{name}_{key}"]) < 1e-4


def test_the_nearest_code_is_that_of_a_loop():
    draw = np.random.RandomState(0)
    codebook, h = draw.randn(7, 3).astype(np.float32), draw.randn(2, 3, 2, 3).astype(np.float32)
    loop = np.array([np.argmin(((codebook - row) ** 2).sum(1)) for row in h.reshape(-1, 3)]).reshape(2, 3, 2)
    np.testing.assert_array_equal(nearest_codes(jnp.asarray(codebook), jnp.asarray(h)), loop)


def test_latents_are_scaled_channel_by_channel():
    config, _ = built(PLAIN | {"latents_mean": [1, 2, 3, 4], "latents_std": [1, 2, 4, 8], "scaling_factor": 2.0}, 6)
    assert (config.offset, config.scale) == ((1, 2, 3, 4), (2, 1, 0.5, 0.25))


def test_old_names_of_attention_are_read():
    _, backbone = built(*reference.CONFIGS["kl"])
    new = reference.weights(expected_tensors(backbone))
    old = {}
    for name, value in new.items():
        for after, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            name = name.replace(f".{after}.", f".{before}.")
        old[name] = value
    assert old.keys() != new.keys()
    found, expected = to_params(backbone, old, "here"), to_params(backbone, new, "here")
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, found, expected)))


def test_a_tensor_that_does_not_fit_is_named():
    _, backbone = built(PLAIN, PLAIN_SIDE)
    good = reference.weights(expected_tensors(backbone))
    name = "encoder.conv_in.weight"
    with pytest.raises(
        UserError, match=r"encoder\.conv_in\.weight has the shape \[8, 1, 3, 3\]; expected \[8, 3, 3, 3\]"
    ):
        to_params(backbone, good | {name: good[name][:, :1]}, "here")
    with pytest.raises(UserError, match=r"here lacks the tensor encoder\.conv_in\.weight \[8, 3, 3, 3\]"):
        to_params(backbone, {key: value for key, value in good.items() if key != name}, "here")
    with pytest.raises(UserError, match=r"unexpected, the tensor quant_conv\.bias \[8\]"):
        to_params(backbone, good | {"quant_conv.bias": np.zeros(8, np.float32)}, "here")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"_class_name": "AutoencoderTiny"}, "expected one of"),
        ({"act_fn": "gelu"}, "act_fn in config.json='gelu'"),
        ({"down_block_types": ["DownBlock2D"]}, "expected 1 of DownEncoderBlock2D"),
        ({"down_block_types": ["DownEncoderBlock2D"] * 2}, "one for each of block_out_channels"),
        ({"layers_per_block": 0}, "layers_per_block=0; expected a whole number"),
        ({"block_out_channels": 8}, "a list of whole numbers"),
        ({"use_quant_conv": 1}, "expected true or false"),
        ({"scaling_factor": 0}, "expected no zero"),
        ({"latents_mean": [1.0]}, "4 finite numbers"),
        ({"norm_num_group": 4}, "did you mean 'norm_num_groups'"),
    ],
)
def test_unknown_settings_are_refused(change, problem):
    with pytest.raises(UserError, match=problem):
        read_config(PLAIN | change, PATH)


def test_images_and_groups_that_do_not_fit_are_refused():
    settings, _ = reference.CONFIGS["kl"]
    for change, shape, problem in (
        ({}, (16, 16, 3), "images of 3 channels do not fit"),
        ({}, (10, 16, 1), "divides the side by 4"),
        ({"norm_num_groups": 4}, (16, 16, 1), "norm_num_groups=4 does not divide"),
    ):
        with pytest.raises(UserError, match=problem):
            make_diffusers(read_config(settings | change, PATH), shape)


def test_folders_without_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no config.json"):
        read_diffusers(tmp_path, (6, 6, 3))
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    assert is_diffusers(tmp_path)
    with pytest.raises(UserError, match="holds no .*safetensors; save the model"):
        read_diffusers(tmp_path, (6, 6, 3))
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="diffusion_pytorch_model.bin is not read, because unpickling"):
        read_diffusers(tmp_path, (6, 6, 3))


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"vdm-jax\[foreign\]"):
        read_tensors(tmp_path)


def test_files_are_read_in_float32(tmp_path):
    """Half precisions, a damaged file, and two files that are not parts of one."""
    flax = pytest.importorskip("safetensors.flax", reason="extra foreign")
    _, backbone = built(PLAIN, PLAIN_SIDE)
    tensors = reference.weights(expected_tensors(backbone))
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    for dtype, error in ((jnp.float32, 0), (jnp.bfloat16, 2**-8), (jnp.float16, 2**-10)):
        flax.save_file({k: jnp.asarray(v, dtype) for k, v in tensors.items()}, tmp_path / "model.safetensors")
        _, params = read_diffusers(tmp_path, (6, 6, 3))
        kernel = params["encoder"]["encoder.conv_in"]["kernel"]
        assert kernel.dtype == np.float32
        expected = tensors["encoder.conv_in.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_allclose(kernel, expected, rtol=error, atol=1e-7 if error else 0)
    (tmp_path / "other.safetensors").write_bytes(b"1234")
    with pytest.raises(UserError, match="more than one weights file"):
        read_tensors(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_tensors(tmp_path)
