"""`config.data` reaches the data source, every setting of it, and a setting without effect is refused."""

import os
from contextlib import nullcontext

import jax
import numpy as np
import pytest
from PIL import Image

from configs.base import get_config
from vdm_jax.base.errors import UserError
from vdm_jax.data.understood import understood
from vdm_jax.experiments.common import checks
from vdm_jax.experiments.common.build import load
from vdm_jax.experiments.vae_vdm.build import build


@pytest.fixture
def config(tmp_path):
    """Of an npz file of 60 images with 16 grey levels."""
    images = np.random.default_rng(0).integers(0, 16, (80, 4, 4), np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=images[:60], x_test=images[60:])
    config = get_config().data
    config.update({"name": "mine", "dir": str(tmp_path)})
    return config


def test_data_too_few_for_an_evaluation_are_told_before_the_training(tmp_path):
    images = np.zeros((49, 8, 8), np.uint8)
    np.savez(tmp_path / "few.npz", x_train=images[:40], x_test=images[40:])
    config = get_config()
    config.update_from_flattened_dict({"data.name": "few", "data.dir": str(tmp_path), "train.batch_size": 8})
    with pytest.raises(UserError, match="^data 'few' have 9 test images; expected at least 10: add some$"):
        build(config)


def of_few(tmp_path, shape, num_train=40, **settings):
    """A config of as many images and 12 test images, of this shape."""
    images = np.random.default_rng(0).integers(0, 256, (num_train + 12, *shape), np.uint8)
    np.savez(tmp_path / "few.npz", x_train=images[:num_train], x_test=images[num_train:])
    config = get_config()
    own = {"data.name": "few", "data.dir": str(tmp_path), "train.batch_size": 8}
    config.update_from_flattened_dict(own | settings)
    return config


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_channels_that_inception_does_not_take_are_told_before_the_training(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(checks, "read_weights", lambda file: None)
    config = of_few(tmp_path, (6, 6, channels), **{"evaluate.inception": "weights.npz"})
    expected = None if channels in (1, 3) else f"takes images of 1 or 3 channels, and those of 'few' have {channels}"
    with pytest.raises(UserError, match=expected) if expected else nullcontext():
        assert build(config).data.shape == (6, 6, channels)


def test_a_target_needs_validation_images_for_each_device(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    settings = {"rate.mode": "target", "data.validation_size": 3}
    with pytest.raises(UserError, match="rate.mode='target' needs 8 validation images, .*; data 'few' have 3"):
        build(of_few(tmp_path, (6, 6), **settings))
    assert build(of_few(tmp_path, (6, 6), **settings | {"data.validation_size": 8})).model.code


def test_settings_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    for i in range(30):
        Image.fromarray(np.full((5, 7), i, np.uint8)).save(tmp_path / "own" / f"{i}.png")
    config = get_config().data
    config.update({"source": "folder", "name": "own", "dir": str(tmp_path / "own"), "size": 4, "channels": 3})
    config.update({"test_size": 7, "validation_size": 5, "crop": "none"})
    data = load(config)
    assert data.shape == (4, 4, 3) and (len(data.train), len(data.validation), len(data.test)) == (18, 5, 7)
    told = "30 grey and 0 colour files are read as colour; resized from shorter sides of 5"
    assert told in understood(data, "folder")


def test_npz(config):
    config.update({"validation_size": 7, "num_levels": 16, "downsample": 2})
    data = load(config)
    assert (len(data.train), len(data.validation), len(data.test)) == (53, 7, 20)
    assert data.num_levels == 16 and data.shape == (2, 2, 1)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"source": "digits", "name": "mnist"}, "data.name='mnist' is no data set of data.source='digits'"),
        ({"source": "tfd"}, "data source='tfd'; expected one of .*did you mean 'tfds'"),
        ({"source": "tfds", "max_gib": 2.0}, "no TFDS build of 'mine' in the folder '.*' .*: it holds no builds"),
    ],
)
def test_mistakes(config, tmp_path, settings, sentence):
    config.update(settings)
    with pytest.raises(UserError, match=sentence):
        load(config)


def test_what_a_source_does_not_take_is_passed_over(config):
    """A command line that sets it is refused: `Kind.choices`."""
    config.update({"source": "digits", "name": "digits", "validation_size": 7, "max_gib": 2.0})
    assert load(config).shape == (8, 8, 1)


def test_the_same_data_are_read_once_and_changed_files_again(config, tmp_path):
    first = load(config)
    assert load(config) is first
    images = np.zeros((40, 4, 4), np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=images + 1, x_test=images)
    os.utime(tmp_path / "mine.npz", ns=(1, 1))
    assert load(config).fingerprint != first.fingerprint
