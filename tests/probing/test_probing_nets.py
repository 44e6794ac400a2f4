"""Matched filters with the true templates are the exact posterior; the other nets against plain formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.sprite_posterior import make_sprite_posterior, sprite_features, sprite_labels
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.probing.heads import make_heads, make_members
from vdm_jax.probing.matched import READOUT_GAIN, columns_at_once, correlate, what_they_are
from vdm_jax.probing.nets import make_net

GRID = SpriteGrid("places", 16, 4, (0.7, 1.0), (0.0, 0.5), tuple(range(8)), ("square", "heart"))
POSTERIOR = make_sprite_posterior(GRID)


def noisy(key, gamma, num=40):
    index = jax.random.randint(jax.random.fold_in(key, 0), (num,), 0, len(GRID))
    x = GRID.render(index)
    return index, noised(x, jax.random.normal(jax.random.fold_in(key, 1), x.shape), jnp.float32(gamma))


def true_readouts(heads, members):
    """What each template, row and column says: log p(class) for a class, the value for a value."""
    kinds = jnp.arange(GRID.num_templates) * len(GRID.offsets) ** 2
    places = jnp.arange(len(GRID.offsets))
    readout = {name: [] for name in ("template", "row", "column")}
    for name in members.groups[0]:
        head = heads[name]
        table = np.log(np.eye(head.size) + 1e-9) if head.categorical else None
        if not head.categorical:
            table = (head.feature.values - head.mean) / np.sqrt(head.feature.variance)
        own = {"x": "column", "y": "row"}.get(name, "template")
        index = places if name in "xy" else np.asarray(sprite_labels(GRID, kinds)[name])
        for part, size in (("template", GRID.num_templates), ("row", 8), ("column", 8)):
            readout[part].append(table[index] if part == own else np.zeros((size, head.size)))
    return {
        part: jnp.asarray(np.concatenate(tables, 1), jnp.float32) / READOUT_GAIN for part, tables in readout.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["values", "classes"])
@pytest.mark.parametrize("gamma", [-2.0, 1.0, 2.5])
def test_matched_filters_with_the_true_templates_are_the_exact_posterior(key, gamma, targets):
    heads = make_heads(sprite_features(GRID), targets)
    members = make_members(heads, "trunk", (0,))
    net = make_net("matched", (16, 16, 1), members.num_outputs, num_templates=GRID.num_templates, window=9)
    params = net.init(key, GRID.render(jnp.arange(20)))
    templates = 2 * jnp.asarray(GRID.templates, jnp.float32)[..., None]
    params = params | {
        "templates": templates,
        "level": jnp.zeros(len(templates)),
        "readout": true_readouts(heads, members),
    }
    _, z = noisy(key, gamma)
    out = net.apply(params, z, jnp.float32(gamma), jnp.asarray(members.categorical[0]))
    exact, start = POSTERIOR.classes(z, jnp.float32(gamma)), 0
    for name in members.groups[0]:
        head, own = heads[name], out[:, start : start + heads[name].size]
        start += head.size
        if head.categorical:
            np.testing.assert_allclose(jax.nn.softmax(own), exact[name], atol=1e-4, err_msg=name)
        else:
            mean = head.mean[None] + np.sqrt(head.feature.variance) * own
            np.testing.assert_allclose(mean, exact[name] @ head.feature.values, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("num", "each"), [(4, 6), (40, 2), (999, 1)])
def test_correlation_is_that_of_every_window(key, num, each):
    z = jax.random.normal(key, (3, 7, 7, 2))
    templates = jax.random.normal(jax.random.fold_in(key, 1), (num, 3, 2, 2))
    found = correlate(templates, z)
    assert found.shape == (num, each, 6 // each, 5, 3) and columns_at_once(num, 2, 6) == each
    for x, y in ((0, 0), (5, 2), (1, 4), (2, 3)):
        window = z[:, y : y + 3, x : x + 2]
        expected = jnp.einsum("nijc,bijc->nb", templates, window)
        np.testing.assert_allclose(found[:, x % each, x // each, y], expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["values", "classes"])
def test_matched_filters_begun_from_labelled_examples_are_near_the_exact_posterior(key, targets):
    """Before any training; also where templates are more than there are different ones."""
    heads = make_heads(sprite_features(GRID), targets)
    members = make_members(heads, "trunk", (0,))
    net = make_net("matched", (16, 16, 1), members.num_outputs, num_templates=12, window=9)
    index = jax.random.randint(key, (2000,), 0, len(GRID))
    categorical = jnp.asarray(members.categorical[0])
    wanted = members.targets(sprite_labels(GRID, index))[0]
    params = jax.jit(net.init)(key, GRID.render(index), wanted, categorical)
    for gamma in (-3.0, 1.0, 2.5):
        _, z = noisy(key, gamma, 200)
        out = jax.jit(net.apply)(params, z, jnp.float32(gamma), categorical)
        for name, scores in members.judge(out[None], jax.jit(POSTERIOR.classes)(z, jnp.float32(gamma))).items():
            for kind in ("accuracy", "r2"):
                assert float(scores.get(f"{kind}_missed", jnp.zeros(1)).mean()) < 0.02, (name, kind, gamma)


@pytest.mark.slow
def test_parts_say_what_their_examples_are_and_nothing_by_chance(key):
    where = jax.random.randint(key, (3000,), 0, 3)
    chance = jax.random.normal(jax.random.fold_in(key, 1), (3000,))
    targets = jnp.stack([where * 1.0, chance, (where == 2) * 1.0, (chance > 0) * 1.0], axis=1)
    bias, said = what_they_are(where, 4, targets, jnp.array([False, False, True, True]))
    np.testing.assert_allclose(said[:3, 0] + targets[:, 0].mean(), [0, 1, 2], atol=0.01)
    assert abs(said[:, 1]).max() < 0.06 and abs(said[:, 3]).max() < 0.1
    assert said[2, 2] == pytest.approx(np.log(3), abs=0.1) and said[:2, 2].max() < -3
    assert abs(said[3]).max() == 0, "a part without examples says nothing"
    np.testing.assert_allclose(bias[:3], np.log(4 / 3), atol=0.1)
    assert bias[3] < -10


def test_templates_start_as_the_different_figures_of_the_examples(key):
    net = make_net("matched", (16, 16, 1), 3, num_templates=8, window=9)
    params = net.init(key, GRID.render(jnp.arange(len(GRID))))
    templates = np.asarray(params["templates"]).reshape(8, -1)
    assert set(np.unique(templates)) == {0.0, 2.0}
    true = GRID.templates.reshape(8, -1)
    assert len(np.unique(templates, axis=0)) == 8
    assert set(templates.sum(1) / 2) <= set(true.sum(1)), "whole figures"
    np.testing.assert_allclose(params["level"], 0, atol=1e-4)  # all images have one norm


def test_linear_and_mlp_are_their_formulas(key):
    z, gamma, none = jax.random.normal(key, (5, 2, 3)), jnp.float32(0), jnp.zeros(4, bool)
    linear = make_net("linear", (2, 3), 4)
    params = jax.tree.map(lambda leaf: leaf + 0.5, linear.init(key, z))
    np.testing.assert_allclose(linear.apply(params, z, gamma, none)[:, 1], 0.5 * z.sum((1, 2)) + 0.5, rtol=1e-4)
    mlp = make_net("mlp", (2, 3), 4, hidden=(7,))
    params = mlp.init(key, z)
    assert not np.any(mlp.apply(params, z, gamma, none)), "a fresh probe says nothing"
    params[1]["weights"] = jnp.ones((7, 4))
    expected = np.maximum(np.asarray(z).reshape(5, 6) @ params[0]["weights"], 0).sum(1)
    np.testing.assert_allclose(mlp.apply(params, z, gamma, none)[:, 0], expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("sides", [(7, 8), (1, 1)])
def test_conv_is_a_convolution(key, sides, channels):
    """Of few channels and of many; sides that are odd get one more row or column of zeros."""
    z = jax.random.normal(key, (2, *sides, channels))
    net = make_net("conv", (*sides, channels), 2, hidden=(5,))
    params = net.init(key, z)
    weights = params[0]["weights"].reshape(4, 4, channels, 5)
    around = [(1, 1 + side % 2) for side in sides]
    h = jax.lax.conv_general_dilated(z, weights, (2, 2), around, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    params[1]["weights"] = jax.random.normal(jax.random.fold_in(key, 1), params[1]["weights"].shape)
    expected = np.maximum(h, 0).reshape(2, -1) @ params[1]["weights"]
    np.testing.assert_allclose(net.apply(params, z, jnp.float32(0), jnp.zeros(2, bool)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_nets_that_cannot_be_are_told():
    with pytest.raises(UserError, match="did you mean 'matched'"):
        make_net("match", (16, 16, 1), 3)
    with pytest.raises(UserError, match="window=17; expected 1 … 16"):
        make_net("matched", (16, 16, 1), 3, window=17)
