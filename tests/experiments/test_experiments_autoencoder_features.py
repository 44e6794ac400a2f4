"""The classifier of a perceptual loss is trained once a run, stops with it, and is kept as it was trained."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vdm_jax.configs.autoencoder import get_config

from vdm_jax.data.sources import load_data
from vdm_jax.experiments.autoencoder import features
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.kind import RunOptions
from vdm_jax.launch.run import run
from vdm_jax.launch.store import packed
from vdm_jax.networks.network import Network

CONFIG = get_config("kl-digits")


@pytest.fixture
def trained(monkeypatch):
    """The number of images of each training so far: of a linear classifier, in updates that change nothing."""

    def init(key):
        return {"logits": {"kernel": 0.1 * jax.random.normal(key, (64, 10)), "bias": jnp.zeros(10)}}

    def fit(network, loss, pixel_values, levels, labels, *, key, num_steps, progress):
        assert list(progress(range(num_steps))) == list(range(500)) and len(levels) == len(labels)
        started.append(len(labels))
        return network.init(key)

    started = []
    monkeypatch.setattr(features, "feature_network", lambda own, data: (Network(init, lambda params, x: x), None))
    monkeypatch.setattr(features, "fit", fit)
    return started


def test_a_restart_and_another_member_read_the_features_that_were_trained(trained, tmp_path):
    data, own = load_data("digits"), CONFIG.reconstruction
    folders = [tmp_path / name for name in ("one", "two")]

    def features_of(*workdirs):
        return features.trained_features(own, data, workdirs, lambda: False)

    first = features_of(*folders)
    content = (folders[0] / features.FILE).read_bytes()
    assert trained == [len(data.train)] and (folders[1] / features.FILE).read_bytes() == content
    (folders[0] / features.FILE).unlink()
    again = features_of(*folders)
    assert trained == [len(data.train)] and (folders[0] / features.FILE).read_bytes() == content
    jax.tree.map(np.testing.assert_array_equal, again, first)
    assert jax.tree.structure(again) == jax.tree.structure(first)
    own = get_config("vae-16-digits").reconstruction
    assert features_of(tmp_path / "three") is None and not (tmp_path / "three").exists()


def test_features_of_other_data_and_damaged_ones_are_not_read(trained, tmp_path, capsys):
    network, path, of = features.feature_network(None, None)[0], tmp_path / features.FILE, {"data": "digits"}
    params = network.init(jax.random.key(0))
    features.write_features(path, params, of)
    jax.tree.map(np.testing.assert_array_equal, features.read_features(path, network, of), params)
    assert features.read_features(path, network, {"data": "other"}) is None
    wide = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), params)
    features.write_features(path, wide, of)
    assert features.read_features(path, network, of) is None
    told = f"train: {path} is damaged or holds other features; the features are trained again\n"
    assert capsys.readouterr().out == 2 * told
    path.write_bytes(path.read_bytes()[:-100])
    assert features.read_features(path, network, of) is None
    assert f"train: {path} cannot be read (BadZipFile: " in capsys.readouterr().out


def test_sigterm_stops_the_training_of_the_features_at_once(monkeypatch, tmp_path, capsys):
    """Before there is a checkpoint, and an archive has something to carry."""

    def fit(*_, num_steps, progress, **__):
        for i in progress(range(num_steps)):
            assert i < 2
            if i == 1:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(features, "fit", fit)
    options = RunOptions(archive=tmp_path / "archive")
    assert run(KINDS, CONFIG, tmp_path / "run", ["train"], options) == "stopped"
    told = capsys.readouterr().out
    place = "train: features of the perceptual loss: 2 of 500"
    assert (
        f"train: stopped by SIGTERM at {place}; nothing of it is saved, and the same command starts it again\n" in told
    )
    assert told.endswith("has no checkpoint yet; nothing was packed\n") and not (tmp_path / "archive").exists()
    assert not (tmp_path / "run" / features.FILE).exists()
    assert features.FILE in packed(KINDS["autoencoder"])[0], "an archive carries them"
