"""Linear autoencoders of Gaussian data, trained on one batch: their optima are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vdm_jax.networks.autoencoder import OUTPUT, Backbone
from vdm_jax.networks.network import Network

EIGENVALUES = np.array([4.0, 1.0, 0.25, 0.04])  # of Gaussian data along their axes
NUM_DIMS = len(EIGENVALUES)


def linear_backbone(num_latents, stochastic=True):
    """u = E x with a variance of its own for each latent; output = D u."""

    def init_encoder(key):
        weights = 0.3 * jax.random.normal(key, (NUM_DIMS, num_latents))
        return {"weights": weights, "logvar": jnp.zeros(num_latents)}

    def encode(params, x, label=None):
        mean = x @ params["weights"]
        return mean, jnp.broadcast_to(params["logvar"][None], mean.shape) if stochastic else None

    def init_decoder(key):
        return {OUTPUT: 0.3 * jax.random.normal(key, (num_latents, NUM_DIMS))}

    return Backbone(
        Network(init_encoder, encode),
        Network(init_decoder, lambda params, u, label=None: u @ params[OUTPUT]),
        (num_latents,),
    )


def trained(model, x, num_steps=1500, learning_rate=0.02):
    """Parameters and carry after Adam on one batch, with a learning rate that falls to 0. Rate modes that are steered
    by validation images get the same batch."""
    params, carry = model.init(jax.random.key(0)), model.init_carry(jax.random.key(1))
    batch = {"levels": x} | ({"held_out": x} if model.rate.steered_by_held_out else {})
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps))

    def step(state, i):
        params, opt_state, carry = state

        def mean_loss(params):
            loss, metrics = model.loss_fn(params, carry, batch, jax.random.fold_in(jax.random.key(2), i), i)
            return loss.mean(), metrics

        grads, metrics = jax.grad(mean_loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        statistics = {name: value.mean(0) for name, value in metrics.pop("statistics", {}).items()}
        of_codebook = {"statistics": statistics, "draws": metrics.pop("draws", {})}
        means = {name: value.mean() for name, value in metrics.items()} | of_codebook
        return (optax.apply_updates(params, updates), opt_state, model.update_carry(carry, means, i)), None

    (params, _, carry), _ = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(num_steps)))(
        (params, optimizer.init(params), carry)
    )
    return params, carry


def gaussian_data(num=4096):
    """Rows whose second moments are exactly `EIGENVALUES` on the diagonal and 0 off it."""
    x = np.random.RandomState(0).randn(num, NUM_DIMS)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / num)).T
    return jnp.asarray(x * np.sqrt(EIGENVALUES), jnp.float32)


def evaluated(model, params, x):
    terms = model.terms(params, jax.random.split(jax.random.key(3), len(x)), jnp.zeros(len(x)), {"levels": x})
    return {name: float(values.mean()) for name, values in terms.items()}
