"""Spaces from folders: a first stage of diffusers sees ±1 whatever the pixel values of the data are."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.experiments.common.space.load import load_space
from vdm_jax.networks.diffusers import make_diffusers
from vdm_jax.networks.diffusers_weights import expected_tensors, read_config

SETTINGS = {"_class_name": "AutoencoderKL", "in_channels": 1, "out_channels": 1, "latent_channels": 2}
SETTINGS |= {"block_out_channels": [4], "norm_num_groups": 2, "scaling_factor": 2.0, "shift_factor": 0.5}

LEVELS = np.random.RandomState(1).randint(0, 5, (2, 6, 6, 1)).astype(np.uint8)


def data_of(values):
    split = Split(LEVELS, None)
    return ImageData("tiny", split, split, split, np.asarray(values, np.float32), ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    safetensors = pytest.importorskip("safetensors.numpy", reason="extra foreign")
    path, draw = tmp_path_factory.mktemp("spaces") / "first_stage", np.random.RandomState(0)
    path.mkdir()
    shapes = expected_tensors(make_diffusers(read_config(SETTINGS, path), (6, 6, 1)))
    tensors = {name: 0.2 * draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    safetensors.save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(SETTINGS))
    return path


def test_the_scale_of_the_pixel_values_changes_decoded_pixels_alone(folder):
    wide, unit = (load_space(folder, data_of(np.linspace(low, 1, 5))) for low in (-1, 0))
    assert wide.shape == (6, 6, 2) and wide.name == "first_stage" and wide.log_prob is None
    assert wide.fingerprint == unit.fingerprint != ""
    mean, variance = jax.jit(wide.moments)(wide.params, LEVELS)
    for found, expected in zip(jax.jit(unit.moments)(unit.params, LEVELS), (mean, variance), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    decoded = [jax.jit(space.decode)(space.params, mean) for space in (wide, unit)]
    np.testing.assert_allclose((decoded[0] + 1) / 2, decoded[1], atol=1e-6)
    assert decoded[0].shape == LEVELS.shape and float(jnp.std(decoded[0])) > 0.01
    assert bool((variance > 0).all())


def test_folders_that_hold_no_space_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no config.json"):
        load_space(tmp_path, data_of([-1, 1]))
    (tmp_path / "config.json").write_text(json.dumps({"kind": "ddpm"}))
    with pytest.raises(UserError, match="a run of kind 'ddpm', which makes no space"):
        load_space(tmp_path, data_of([-1, 1]))
