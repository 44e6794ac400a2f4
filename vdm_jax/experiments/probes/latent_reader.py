"""The reader `latent_net`: a network that is trained on x of the training images in a space."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.mesh import make_mesh
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.timesteps import LEAST_NOISE
from vdm_jax.experiments.probes.training import heads_of, make_ensemble
from vdm_jax.probing.chains.process import Reader
from vdm_jax.probing.ensemble import fit, timestep_keys
from vdm_jax.probing.example_sources import make_forward_source
from vdm_jax.probing.population import Population

SEED = 0  # one network a space, whatever the run
ROUNDS = 10  # of training, between two evaluations of the validation loss
VECTORS = {"net": "mlp", "hidden": (256, 256, 256)}
MAPS = {"net": "conv", "hidden": (64, 128)}  # x with height, width and channels
TRAINING = {
    "members": "trunk",
    "targets": "classes",
    "num_seeds": 1,
    "batch_size": 256,
    "learning_rate": 3e-3,
    "patience": ROUNDS,
    "num_validation": 1_024,
}


def train_latent_reader(population: Population, chains: ConfigDict) -> Reader:
    """A network that classifies x without noise, trained for `reader_steps`.

    It learns from the first `reader_images` training images at most; where x is random it is drawn anew in every batch.
    """
    splits = dict(population.splits)
    splits["train"] = splits["train"][: chains.reader_images]
    train, validation = (
        make_forward_source(population.take, population.labels, splits[name]) for name in ("train", "validation")
    )
    steps = chains.reader_steps
    own = VECTORS if len(population.shape) == 1 else MAPS
    settings = ConfigDict(TRAINING | own | {"num_updates": steps, "updates_per_round": -(-steps // ROUNDS)})
    ensemble = make_ensemble(settings, population, heads_of(population.features, settings), train, validation)
    ensemble = replace(ensemble, mesh=make_mesh(1))  # one timestep, one device
    conditions = {"gamma": jnp.full(1, LEAST_NOISE, jnp.float32)}
    keys = timestep_keys(jax.random.key(SEED), np.zeros(1, int))
    best = fit(ensemble, keys, conditions, progress=bar("reader in the space")).best
    # by way of the host: arrays of a program on one device do not go with the weights of a model, which are on all
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), jax.device_get(best))

    def read(params, _, x):
        outputs = ensemble.objective.outputs(params, x, jnp.float32(LEAST_NOISE))
        return {name: own[0].argmax(axis=1) for name, own in ensemble.members.predict(outputs).items()}

    return Partial(read, params)
