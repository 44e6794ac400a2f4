"""Likelihoods of a decoder against SciPy and NumPy, and what each refuses."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vdm_jax.base.errors import UserError
from vdm_jax.models.decoder_likelihood import LIKELIHOODS, make_decoder_likelihood

BINARY = np.array([-1, 1], np.float32)
GREY = np.linspace(-1, 1, 5, dtype=np.float32)
RANDOM = np.random.RandomState(0)
OUTPUT = RANDOM.randn(3, 2, 2, 1).astype(np.float32)
LEVELS = RANDOM.randint(0, 5, OUTPUT.shape)


def log_prob(likelihood, data, **params):
    return likelihood.log_prob(params, jnp.asarray(data), jnp.asarray(OUTPUT))


def test_bernoulli_is_scipys():
    levels = LEVELS % 2
    expected = stats.bernoulli.logpmf(levels, 1 / (1 + np.exp(-OUTPUT.astype(np.float64)))).sum((1, 2, 3))
    found = log_prob(make_decoder_likelihood("bernoulli", BINARY), levels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("params, given", [({"log_sigma": jnp.float32(-0.7)}, None), ({}, float(np.exp(-0.7)))])
def test_gaussian_is_scipys_with_a_learned_and_a_given_deviation(params, given):
    expected = stats.norm.logpdf(GREY[LEVELS], OUTPUT, np.exp(-0.7)).sum((1, 2, 3))
    found = log_prob(make_decoder_likelihood("gaussian", GREY, given), LEVELS, **params)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_levels_are_a_softmax_of_squared_distances():
    weights = np.exp(-0.5 * ((OUTPUT[..., None] - GREY) / 0.3) ** 2, dtype=np.float64)
    expected = np.log(np.take_along_axis(weights, LEVELS[..., None], -1)[..., 0] / weights.sum(-1)).sum((1, 2, 3))
    found = log_prob(make_decoder_likelihood("levels", GREY, 0.3), LEVELS)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_outputs_far_from_the_data_keep_finite_nats():
    far = jnp.full((1, 1), 300.0)
    for name, values in {"bernoulli": BINARY, "levels": GREY}.items():
        likelihood = make_decoder_likelihood(name, values)
        found = likelihood.log_prob(likelihood.init_params(), jnp.zeros((1, 1), jnp.uint8), far)
        assert np.isfinite(found).all() and float(found[0]) < -200


def test_pixels_are_the_means_in_pixel_values():
    logits = jnp.array([[-200.0, 0.0, 200.0]])
    np.testing.assert_allclose(make_decoder_likelihood("bernoulli", BINARY).pixels(logits), [[-1, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(make_decoder_likelihood("gaussian", GREY).pixels(logits), logits)
    np.testing.assert_allclose(make_decoder_likelihood("levels", GREY).pixels(logits), [[-1, 0, 1]])


@pytest.mark.parametrize(
    "name, values, sigma, message",
    [
        ("bernoulli", GREY, None, "two levels, and these have 5; expected gaussian or levels"),
        ("gaussian", GREY, 0.0, "model.sigma=0.0; expected a number above 0"),
        ("levels", GREY, float("nan"), "model.sigma=nan"),
        ("laplace", GREY, None, "model.likelihood='laplace'"),
    ],
)
def test_mistakes_name_the_way_out(name, values, sigma, message):
    with pytest.raises(UserError, match=message):
        make_decoder_likelihood(name, values, sigma)


def test_only_an_unknown_deviation_is_a_parameter():
    shapes = {name: set(make_decoder_likelihood(name, BINARY).init_params()) for name in LIKELIHOODS}
    assert shapes == {"bernoulli": set(), "gaussian": {"log_sigma"}, "levels": {"log_sigma"}}
    assert make_decoder_likelihood("levels", GREY, 0.1).init_params() == {}
