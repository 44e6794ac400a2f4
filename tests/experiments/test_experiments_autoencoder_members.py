"""Members of an ensemble: in turn bitwise the run that is trained alone, stacked to rounding."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from vdm_jax.configs.autoencoder import get_config

from vdm_jax.experiments.autoencoder.build import build_autoencoder
from vdm_jax.experiments.autoencoder.members import members_of
from vdm_jax.experiments.autoencoder.training import train_members
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.train import scores_of
from vdm_jax.experiments.common.training import ModelTraining
from vdm_jax.launch.kind import NO_OPTIONS
from vdm_jax.train.loop import TrainingFailed
from vdm_jax.train.state import init_state

TINY = {
    "data.name": "sparse",
    "model.latents": 2,
    "model.channels": 4,
    "train.num_steps": 4,
    "train.batch_size": 8,
    "train.log_every": 2,
    "train.eval_every": 4,
    "train.checkpoint_every": 4,
    "train.eval_images": 8,
    "evaluate.checkpoint": "latest",
    "evaluate.weights": "raw",
    "ensemble.seeds": "0,1",
    "ensemble.learning_rate": "1e-3,1e-2",
}


@pytest.fixture(scope="module")
def members():
    config = get_config("dip1-2-sparse")
    config.update_from_flattened_dict(TINY)
    return {name: build_autoencoder(own) for name, own in members_of(config).items()}


def trained(members, folder, **how):
    """The parameters of each member after its training, as one vector."""
    pairs = [(experiment, folder / name) for name, experiment in members.items()]
    assert train_members(pairs, NO_OPTIONS, **how) == "done"
    weights = [load_weights(path, experiment.model, experiment.config).params for experiment, path in pairs]
    return [np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(params)]) for params in weights]


@pytest.mark.slow
def test_members_are_equal_to_runs_trained_alone(members, tmp_path):
    """In turn to the bit; all at once to the rounding of another order of sums. Members differ from each other."""
    in_turn = trained(members, tmp_path / "in_turn", at_once=False)
    last = dict(list(members.items())[-1:])
    np.testing.assert_array_equal(trained(last, tmp_path / "alone")[0], in_turn[-1])
    for one, other in zip(trained(members, tmp_path / "at_once", at_once=True), in_turn, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)
    assert all(np.abs(one - in_turn[0]).max() > 1e-3 for one in in_turn[1:])


@pytest.mark.slow
def test_a_member_that_fails_does_not_end_the_others(tmp_path):
    """In turn; stacked: tests/train/test_train_members.py."""
    config = get_config("dip1-2-sparse")
    own = {"train.max_skipped_in_a_row": 2, "ensemble.seeds": "", "ensemble.learning_rate": "3e38,1e-3"}
    config.update_from_flattened_dict(TINY | own)
    members = {name: build_autoencoder(own) for name, own in members_of(config).items()}
    bad, good = members
    with pytest.raises(TrainingFailed, match=f"^1 of 2 members failed: {re.escape(bad)}: .*leave its values out"):
        trained(members, tmp_path, at_once=False)
    assert load_weights(tmp_path / good, members[good].model, members[good].config).step == 4


def test_weights_are_scored_on_all_devices():
    """Images are split over them, and members that are trained at once may be on fewer: 3 on one of 2 devices."""
    seen = {}
    training = ModelTraining(None, None, None, 1, validate=lambda params: seen.update(params) or {"score": 0.0})
    state = init_state({"weights": jnp.ones(3)}, optax.identity())
    assert scores_of(training)(jax.device_put(state, jax.devices()[0])) == {"score": 0.0}
    assert seen["weights"].sharding.device_set == set(jax.devices()) and jax.device_count() > 1
