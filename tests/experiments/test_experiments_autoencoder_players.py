"""Autoencoder and discriminator: one compiled step, each with an optimizer of its own, resumed without a trace."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vdm_jax.configs.autoencoder import get_config

from vdm_jax.experiments.autoencoder.build import build_autoencoder
from vdm_jax.experiments.autoencoder.training import OTHER_PLAYER, make_players, train
from vdm_jax.experiments.common.checkpoints import initial_params, load_weights
from vdm_jax.launch.kind import NO_OPTIONS

START = 2
TINY = {
    "model.backbone": "conv",  # compiles faster than that of attention
    "model.channels": 4,
    "model.latent_channels": 2,
    "reconstruction.perceptual": 0.0,
    "reconstruction.discriminator_channels": 2,
    "reconstruction.discriminator_start": START,
    "train.batch_size": 8,
    "train.log_every": START,
    "train.eval_every": START,
    "train.checkpoint_every": START,
    "train.eval_images": 8,
    "evaluate.checkpoint": "latest",
    "evaluate.weights": "raw",
}


@pytest.mark.slow
def test_the_discriminator_begins_at_its_start_and_a_resumed_training_ends_bitwise_equal(tmp_path):
    config = get_config("kl-sparse")
    config.update_from_flattened_dict(TINY)
    experiment = build_autoencoder(config)

    def trained(name, num_steps):
        own = config.copy_and_resolve_references()
        own.train.num_steps = num_steps
        assert train(replace(experiment, config=own), tmp_path / name, NO_OPTIONS) == "done"
        return load_weights(tmp_path / name, experiment.model, own).params

    first = initial_params(experiment.model, config.train.seed)
    begun = trained("resumed", START)
    jax.tree.map(np.testing.assert_array_equal, begun[OTHER_PLAYER], first[OTHER_PLAYER])
    resumed, whole = trained("resumed", 2 * START), trained("whole", 2 * START)
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    for part in (OTHER_PLAYER, "decoder"):
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), whole[part], begun[part])
        assert max(jax.tree.leaves(moved)) > 1e-5, part


def test_each_player_is_clipped_by_its_own_norm():
    """Adam forgets the scale of one gradient, not the ratio of two: gradients of 500 and 1, clipped to 1, move the
    autoencoder as two of 1 do, whatever the discriminator's are."""
    config, params = get_config("kl-sparse").train, {part: jnp.zeros(2) for part in ("decoder", OTHER_PLAYER)}
    assert config.clip == 1.0

    def last_update(*gradients):
        optimizer = make_players(config, params)
        state = optimizer.init(params)
        for decoder, player in gradients:
            own = {"decoder": decoder * jnp.array([0.6, -0.8]), OTHER_PLAYER: player * jnp.array([0.8, 0.6])}
            updates, state = optimizer.update(own, state, params)
        return updates["decoder"]

    expected = last_update((1.0, 0.0), (1.0, 0.0))
    np.testing.assert_allclose(expected, config.learning_rate * np.array([-1, 1]), rtol=1e-4)
    np.testing.assert_allclose(last_update((500.0, 1e6), (1.0, 0.0)), expected, rtol=1e-4)
    assert float(jnp.abs(last_update((1e-3, 1e6), (1.0, 0.0)) - expected).max()) > 0.1 * config.learning_rate
