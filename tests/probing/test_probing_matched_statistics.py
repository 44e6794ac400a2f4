"""Matched statistics: exact log p(z_t) and entropy with the true templates; the Bayes rate where it is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from vdm_jax.base.mesh import make_mesh
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.ensemble import Ensemble, Training, fit, timestep_keys
from vdm_jax.probing.example_sources import make_pool_source
from vdm_jax.probing.heads import make_heads, make_members
from vdm_jax.probing.matched import apply_matched, match_logits
from vdm_jax.probing.matched_statistics import STATISTICS, statistics_of
from vdm_jax.probing.nets import make_net

GRID = SpriteGrid("places", 16, 4, (0.7, 1.0), (0.0, 0.5), tuple(range(8)), ("square", "heart"))
SPRITES = GRID.render(jnp.arange(len(GRID)))
TOLD = {"generated": Feature(np.array([0.5, 0.5]))}


def with_true_templates(key, num_outputs=2, scale=1.0, shift=0.0):
    """Of the images scale * SPRITES + shift."""
    net = make_net("matched_statistics", (16, 16, 1), num_outputs, num_templates=GRID.num_templates, window=9)
    templates = 2 * scale * jnp.asarray(GRID.templates, jnp.float32)[..., None]
    level = (shift - scale) * templates.sum((1, 2, 3)) + 0.5 * (templates**2).sum((1, 2, 3))
    return net, net.init(key, scale * SPRITES[:20] + shift) | {"templates": templates, "level": level}


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.25, 0.75)])
@pytest.mark.parametrize("gamma", [-5.5, -2.0, 0.0, 2.5])
def test_with_the_true_templates_the_numbers_are_log_p_and_the_entropy_of_the_posterior(key, gamma, scale, shift):
    _, params = with_true_templates(key, scale=scale, shift=shift)
    background = shift - scale
    assert float(params["background"]) == pytest.approx(background)
    index, images = jax.random.randint(key, (30,), 0, len(GRID)), scale * SPRITES + shift
    z = noised(images[index], jax.random.normal(jax.random.fold_in(key, 1), (30, 16, 16, 1)), jnp.float32(gamma))
    found = statistics_of(params["background"], z, jnp.float32(gamma), match_logits(params, z, jnp.float32(gamma)))
    alpha, sigma = (float(each) for each in alpha_sigma(jnp.float32(gamma)))
    precision = min(sigma**-2, 20 / alpha)
    flat, images = (np.asarray(each, np.float64).reshape(len(each), -1) for each in (z, images))
    log_odds = -0.5 * precision * ((flat[:, None] - alpha * images) ** 2).sum(-1)
    log_p = np.log(np.exp(log_odds - log_odds.max(1, keepdims=True)).mean(1)) + log_odds.max(1)
    p = np.exp(log_odds - log_odds.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = {
        "log_evidence": (log_p / precision / sigma**2 + 128) / np.sqrt(128),
        "entropy": -(p * np.log(p + 1e-300)).sum(1),
        "sum": (flat.sum(1) - 256 * alpha * background) / 16,
        "energy": ((flat**2).sum(1) - 256 * (alpha**2 * background**2 + sigma**2)) / np.sqrt(512),
    }
    assert (precision < 0.1 / sigma**2) == (gamma < -5)
    for name, column in zip(STATISTICS, found.T, strict=True):
        np.testing.assert_allclose(column, expected[name], atol=2e-3, rtol=1e-3, err_msg=name)


def test_it_is_what_matched_filters_say_and_a_linear_map_of_the_numbers(key):
    net, params = with_true_templates(key)
    weights = jnp.array([[1.0, -1.0], [0.5, 2.0], [0.0, 3.0], [-1.0, 0.25]])
    readout = jax.tree.map(lambda leaf: leaf + jnp.arange(leaf.size).reshape(leaf.shape) % 7 / 70, params["readout"])
    params |= {"of_numbers": weights / 10, "readout": readout}
    z, gamma, categorical = jax.random.normal(key, (4, 16, 16, 1)), jnp.float32(0.5), jnp.array([True, False])
    found = statistics_of(params["background"], z, gamma, match_logits(params, z, gamma))
    expected = apply_matched(params, z, gamma, categorical) + found @ weights
    assert abs(expected - found @ weights).max() > 0.1
    np.testing.assert_allclose(net.apply(params, z, gamma, categorical), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_fresh_probe_says_nothing_and_gradients_are_finite_at_any_noise(key):
    """Where no label of the examples is what it is asked for."""
    net, params = with_true_templates(key)
    z = jax.random.normal(key, (4, 16, 16, 1))
    for gamma in (-30.0, 0.0, 30.0):
        assert abs(net.apply(params, z, jnp.float32(gamma), jnp.ones(2, bool))).max() < 1e-6
        slopes = jax.grad(lambda p, gamma=gamma: net.apply(p, z, jnp.float32(gamma), jnp.ones(2, bool))[:, 0].sum())
        found = slopes(params)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)) and abs(found["of_numbers"]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [-5.0, -3.0])
def test_trained_it_tells_noise_of_another_variance_at_the_bayes_rate(key, gamma):
    """Of the noise n of z - alpha x both know all but which x: 1.1 n against n, and x is certain at this level."""
    factor, num, dims = 1.1, 3_000, 256
    alpha, sigma = alpha_sigma(jnp.float32(gamma))
    index = jax.random.randint(key, (2 * num,), 0, len(GRID))
    scale = jnp.repeat(jnp.array([1.0, factor]), num)[:, None, None, None]
    z = alpha * SPRITES[index] + sigma * scale * jax.random.normal(jax.random.fold_in(key, 1), (2 * num, 16, 16, 1))
    labels = {"generated": np.repeat([0, 1], num).astype(np.int32)}
    rows = np.random.RandomState(0).permutation(2 * num)
    train, validation, test = np.split(rows, [4_000, 4_500])
    members = make_members(make_heads(TOLD, "values"), "trunk", (0,))
    net = make_net("matched_statistics", (16, 16, 1), members.num_outputs, num_templates=16, window=9)
    training = Training(64, 200, 50, 3e-3, 9, 500)
    feeds = (make_pool_source(labels, part) for part in (train, validation))
    ensemble = Ensemble(net, members, *feeds, training, SPRITES[::3], make_mesh(1), "map")
    keys, levels = timestep_keys(key, np.array([0])), {"gamma": jnp.array([gamma]), "z": z[None]}
    state = fit(ensemble, keys, levels)
    accuracy = ensemble.row_scores(labels, test)(state.best, keys, levels)["generated"]["accuracy"]
    between = 2 * np.log(factor) * dims / (1 - factor**-2)  # of ||n||²
    bayes = (chi2.cdf(between, dims) + 1 - chi2.cdf(between / factor**2, dims)) / 2
    assert float(accuracy.mean()) == pytest.approx(bayes, abs=3 * np.sqrt(bayes * (1 - bayes) / accuracy.size) + 0.02)
    assert bayes > 0.85
