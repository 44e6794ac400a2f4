"""`config.data` reaches the data source, every setting of it, and a setting without effect is refused."""

import os

import numpy as np
import pytest

from configs.base import get_config
from vdm_jax.base.errors import UserError
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
    with pytest.raises(UserError, match="^data 'few' have 9 test images; expected at least 10$"):
        build(config)


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
