"""The optimizer against AdamW written out."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.train.optimizer import make_learning_rate, make_optimizer

GRADS = np.array([[0.3, -0.4], [1.2, 0.0], [-2.0, 0.7]])


@pytest.mark.parametrize("clip", [None, 1.0])
def test_updates_are_those_of_adamw_on_clipped_gradients(clip):
    optimizer = make_optimizer(0.01, num_steps=10, b1=0.9, b2=0.99, weight_decay=0.1, clip=clip)
    w, m, v = np.array([1.0, -1.0]), np.zeros(2), np.zeros(2)
    params = {"w": jnp.asarray(w, jnp.float32)}
    opt_state = optimizer.init(params)
    for n, grad in enumerate(GRADS, start=1):
        updates, opt_state = optimizer.update({"w": jnp.asarray(grad, jnp.float32)}, opt_state, params)
        params = optax.apply_updates(params, updates)
        grad = grad if clip is None else grad * min(1, clip / np.linalg.norm(grad))
        m, v = 0.9 * m + 0.1 * grad, 0.99 * v + 0.01 * grad**2
        w = w - 0.01 * (m / (1 - 0.9**n) / (np.sqrt(v / (1 - 0.99**n)) + 1e-8) + 0.1 * w)
        np.testing.assert_allclose(params["w"], w, rtol=1e-5)


def test_learning_rates():
    warm = make_learning_rate(0.5, schedule="constant", warmup_steps=4, num_steps=100)
    np.testing.assert_allclose([warm(n) for n in (0, 1, 3, 50)], [0.125, 0.25, 0.5, 0.5])
    cosine = make_learning_rate(0.5, schedule="cosine", warmup_steps=0, num_steps=100)
    np.testing.assert_allclose([cosine(n) for n in (0, 50, 100, 120)], [0.5, 0.25, 0, 0], atol=1e-7)


@pytest.mark.slow
def test_mistakes_are_named():
    with pytest.raises(UserError, match="learning-rate schedule='cosin'; .*did you mean 'cosine'"):
        make_optimizer(0.1, schedule="cosin", num_steps=10)
    with pytest.raises(UserError, match="warmup_steps=-1"):
        make_optimizer(0.1, warmup_steps=-1, num_steps=10)
