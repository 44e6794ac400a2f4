"""A codebook by hand: usage, losses, moving averages, restarts, and the same through the training step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.models.vq import VectorQuantiser
from vdm_jax.train.state import init_state
from vdm_jax.train.step import make_train_step

CODES = jnp.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])


@partial(jax.jit, static_argnums=0)
def updated(quantiser, carry, z):
    found = quantiser.quantise(jax.random.key(0), carry["codes"], z).for_update
    return quantiser.update(carry, jax.tree.map(lambda leaf: leaf.mean(0), found["statistics"]), found["draws"])


@pytest.mark.parametrize(
    "rows, perplexity, used", [([0, 0, 0, 0], 1.0, 0.25), ([0, 1, 1, 0], 2.0, 0.5), (range(4), 4.0, 1.0)]
)
def test_perplexity_counts_codes_that_are_used_alike(rows, perplexity, used):
    z = CODES[jnp.array(list(rows))] + 0.3
    found = jax.jit(VectorQuantiser(4, 2).quantise)(jax.random.key(0), CODES, z)
    assert list(found.index) == list(rows)
    assert float(found.metrics["perplexity"]) == pytest.approx(perplexity, rel=1e-5)
    assert float(found.metrics["used_codes"]) == used


@pytest.mark.parametrize("by, weight", [("ema", 0.25), ("gradient", 1.25)])
def test_losses_are_sums_over_the_places_of_an_example(by, weight):
    z = CODES[jnp.array([[0, 1], [3, 2]])][:, None] + jnp.array([0.1, 0.2])[None, None, None]  # [2, 1, 2, 2]
    found = jax.jit(VectorQuantiser(4, 2, by).quantise)(jax.random.key(0), CODES, z)
    np.testing.assert_allclose(found.loss, weight * np.array([2, 2]) * 0.05, rtol=1e-5)
    np.testing.assert_allclose(found.u, CODES[found.index], atol=1e-6)


def test_the_codebook_of_gradients_is_pulled_towards_its_encodings_alone():
    quantiser = VectorQuantiser(4, 2, "gradient")
    z = jnp.array([[0.5, 0.0], [3.0, 4.0]])
    pulled = jax.jit(jax.grad(lambda codes: quantiser.quantise(jax.random.key(0), codes, z).loss.sum()))(CODES)
    expected = np.zeros((4, 2))
    expected[0], expected[3] = 2 * (CODES[0] - z[0]), 2 * (CODES[3] - z[1])
    np.testing.assert_allclose(pulled, expected, atol=1e-6)
    found = jax.eval_shape(quantiser.quantise, jax.random.key(0), CODES, z)
    assert not found.for_update


def test_moving_averages_end_at_the_means_of_their_clusters():
    centres, noise = np.array([[-2.0, 1.0], [3.0, 0.0]]), np.random.RandomState(0).normal(0, 0.2, (2, 9, 2))
    clusters = centres[:, None] + noise
    quantiser = VectorQuantiser(2, 2, decay=0.5, restart_below=0.0)
    uses = jnp.full(2, 0.5)
    carry = {"codes": jnp.array([[-1.0, 0.0], [1.0, 0.0]]), "uses": uses, "sums": jnp.zeros((2, 2))}
    for _ in range(40):
        carry = updated(quantiser, carry, jnp.asarray(clusters.reshape(18, 2), jnp.float32))
    np.testing.assert_allclose(carry["codes"], clusters.mean(1), atol=1e-4)


def test_one_update_is_that_of_the_formula():
    """N ← γN + (1-γ)n, m ← γm + (1-γ)Σz, e = m/N (van den Oord et al. 2017, appendix A.1), n as a share."""
    quantiser = VectorQuantiser(2, 1, decay=0.8, restart_below=0.0)
    carry = {"codes": jnp.array([[0.0], [5.0]]), "uses": jnp.array([0.5, 0.5]), "sums": jnp.array([[0.0], [2.5]])}
    carry = updated(quantiser, carry, jnp.array([[1.0], [6.0], [7.0], [8.0]]))
    np.testing.assert_allclose(carry["uses"], [0.8 * 0.5 + 0.2 * 0.25, 0.8 * 0.5 + 0.2 * 0.75], rtol=1e-6)
    sums = np.array([0.2 * 1 / 4, 0.8 * 2.5 + 0.2 * 21 / 4])
    np.testing.assert_allclose(carry["sums"][:, 0], sums, rtol=1e-6)
    np.testing.assert_allclose(carry["codes"][:, 0], sums / np.array([0.45, 0.55]), rtol=1e-4)


def test_only_codes_below_the_threshold_restart_and_at_encodings_of_the_batch():
    quantiser = VectorQuantiser(4, 2, decay=0.9, restart_below=0.5)
    z = jnp.array([[0.1, 0.0], [0.2, 0.1], [3.9, 0.2], [0.0, 0.3]])
    carry = {"codes": CODES, "uses": jnp.array([0.4, 0.3, 0.14, 0.1]), "sums": CODES * 0.25}
    after = updated(quantiser, carry, z)  # uses · 4 of the last two: 0.504 and 0.36
    assert float(jnp.abs(after["codes"][3][None] - z).max(1).min()) == 0.0
    assert float(after["uses"][3]) == 0.25 and float(after["uses"][2]) == pytest.approx(0.126)
    np.testing.assert_allclose(after["sums"][3], after["codes"][3] * 0.25, rtol=1e-6)
    never = updated(VectorQuantiser(4, 2, decay=0.9, restart_below=0.0), carry, z)
    assert float(jnp.abs(never["codes"][3][None] - z).max(1).min()) > 0.1


@pytest.mark.parametrize("accumulate, num_devices", [(1, 1), (4, 1), (2, 2)])
def test_through_the_training_step_the_codebook_is_that_of_the_whole_batch(accumulate, num_devices):
    """Uses and sums are means over all micro-batches; a restarted code is one encoding, not a mean of several."""
    quantiser = VectorQuantiser(4, 2, decay=0.9, restart_below=0.5)
    z = jnp.asarray(np.random.RandomState(0).uniform(-1, 1, (8, 2)), jnp.float32) + jnp.array([[2.0, 0.0]])
    carry = {"codes": CODES, "uses": jnp.array([0.3, 0.3, 0.3, 0.1]), "sums": CODES * 0.25}

    def loss_fn(params, carry, batch, key, step):
        found = quantiser.quantise(key, carry["codes"], batch)
        return found.loss + params["w"], found.metrics | found.for_update

    mesh = make_mesh(num_devices)
    step = make_train_step(
        loss_fn,
        optax.sgd(0.1),
        jax.random.key(1),
        mesh=mesh,
        batch_fn=lambda data, _: data,
        update_carry=lambda carry, means, _: quantiser.update(carry, means["statistics"], means["draws"]),
        accumulate=accumulate,
    )
    state = replicate(init_state({"w": np.zeros((), np.float32)}, optax.sgd(0.1), carry), mesh)
    state, metrics = step(state, z)
    found, expected = jax.device_get(state.carry), updated(quantiser, carry, z)
    np.testing.assert_allclose(found["codes"][:3], expected["codes"][:3], rtol=1e-5)
    np.testing.assert_allclose(found["uses"], expected["uses"], rtol=1e-5)
    assert np.abs(found["codes"][3][None] - z).max(1).min() == 0.0
    assert set(metrics) == {"loss", "grad_norm", "perplexity", "used_codes"}


def test_an_unknown_update_is_refused():
    with pytest.raises(UserError, match="quantiser.codebook='adam'"):
        VectorQuantiser(4, 2, "adam")
