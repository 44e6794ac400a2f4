import jax
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.sources import load_data
from vdm_jax.evals.feature_net import compute_features, predict_labels, train_feature_net
from vdm_jax.evals.frechet import frechet_report
from vdm_jax.networks.classifier import make_classifier


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def train(digits, num_steps, seed=0):
    return train_feature_net(
        make_classifier((8, 8, 1), 10, width=16),
        digits.name,
        digits.pixel_values,
        (digits.train.levels, digits.train.labels),
        (digits.test.levels, digits.test.labels),
        key=jax.random.key(seed),
        num_steps=num_steps,
    )


@pytest.fixture(scope="module")
def net(digits):
    return train(digits, 300)


@pytest.mark.slow
def test_accuracy_is_that_of_the_test_split(net, digits):
    assert net.test_accuracy > 0.94
    assert net.test_accuracy == np.mean(predict_labels(net, digits.test.levels) == digits.test.labels)


def test_named_and_hashed(net):
    assert net.network.name == "classifier trained on digits" and net.network.resize == "none"
    assert net.network.hash == fingerprint(net.params)


def test_deterministic_in_the_key(digits):
    first, again, other = train(digits, 3), train(digits, 3), train(digits, 3, seed=1)
    assert first.network.hash == again.network.hash != other.network.hash


def test_features_do_not_depend_on_the_batch_size(net, digits):
    levels = digits.test.levels[:50]
    whole = compute_features(net, levels, batch_size=50)
    assert whole.shape == (50, 32) and whole.dtype == np.float32
    np.testing.assert_allclose(compute_features(net, levels, batch_size=16), whole, rtol=1e-4, atol=1e-5)


def test_distance_tells_digits_from_noise(net, digits):
    noise = np.random.default_rng(0).integers(0, 17, digits.test.levels.shape).astype(np.uint8)
    features = [compute_features(net, levels) for levels in (noise, digits.test.levels, digits.train.levels)]
    report = frechet_report(*features, net.network)
    assert report["num_images"] == 300 and report["distance"] > 10 * report["real_vs_real_floor"] > 0


def test_unlabelled_data(digits):
    with pytest.raises(UserError, match="no labels in 'photos'"):
        train_feature_net(
            make_classifier((8, 8, 1), 10),
            "photos",
            digits.pixel_values,
            (digits.train.levels, None),
            (digits.test.levels, None),
            key=jax.random.key(0),
        )
