"""An ensemble is its members, however it is batched, cut and spread; and it finds what is known of two Gaussians."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_probes import FEATURES, GAMMAS, TIMESTEPS, key_of, make_ensemble, side_source
from jax.tree_util import Partial

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.theory import two_gaussians
from vdm_jax.probing.batching import BATCHING, usual_batching
from vdm_jax.probing.curves import summarise_scores
from vdm_jax.probing.ensemble import State, fit, timestep_keys
from vdm_jax.probing.example_sources import ExampleSource


def fitted(ensemble, picked=slice(None)) -> State:
    keys = timestep_keys(key_of(), TIMESTEPS[picked])
    return jax.device_get(fit(ensemble, keys, {"gamma": GAMMAS[picked]}))


@pytest.fixture(scope="module")
def all_at_once():
    return fitted(make_ensemble())


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)


@pytest.mark.slow
def test_an_ensemble_is_its_members_trained_one_by_one(all_at_once):
    start = make_ensemble().init(timestep_keys(key_of(), TIMESTEPS))
    moved = jax.tree.map(lambda a, b: float(abs(np.asarray(a) - b).max()), start, all_at_once.params)
    assert min(jax.tree.leaves(moved)) > 1e-3, "everything learns"
    for member, (feature, seed) in enumerate([("side", 0), ("side", 1), ("value", 1)]):
        alone = make_ensemble(features=(feature,), seeds=(seed,))
        own = alone.members.num_outputs  # a narrower net: the others' unused outputs are cut off
        for timestep in range(len(TIMESTEPS)):
            found = fitted(alone, slice(timestep, timestep + 1))
            k = member if feature == "side" else 3
            wanted = jax.tree.map(lambda leaf, m=timestep, k=k: leaf[m, k], all_at_once)
            for name in ("weights", "bias"):
                wide = wanted.best[-1][name][..., :own]
                np.testing.assert_allclose(found.best[-1][name][0, 0], wide, atol=1e-5, err_msg=f"{feature} {seed}")
            np.testing.assert_allclose(found.best_loss[0, 0], wanted.best_loss, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        dict(devices=2),
        dict(devices=2, batching="vmap"),
        dict(devices=2, batching="map_members"),
        dict(batching="map_members"),
    ],
)
def test_batching_and_devices_change_nothing(all_at_once, how):
    ensemble = make_ensemble(**how)
    even = np.array([0, 1, 2, 2]) if ensemble.mesh.size == 2 else np.arange(3)
    found = fitted(ensemble, even)
    assert_same(jax.tree.map(lambda leaf: leaf[:3], found), all_at_once)


def test_parameters_are_the_same_whether_their_shapes_were_asked_for_before():
    keys, known = timestep_keys(key_of(), TIMESTEPS), {"side": jnp.array([0, 1]), "value": jnp.array([0, 1])}
    asked, fresh = (dataclasses.replace(make_ensemble(), example_classes=known) for _ in range(2))
    shapes = jax.eval_shape(asked.init, keys)
    found = asked.init(keys)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    assert_same(found, fresh.init(keys))


@pytest.mark.slow
def test_trunks_of_several_seeds_train_in_turn_as_they_do_at_once():
    at_once, turn = (fitted(make_ensemble(members="trunk", batching=how)) for how in ("map", "map_members"))
    assert_same(turn, at_once)


@pytest.mark.slow
def test_a_timestep_does_not_depend_on_the_others(all_at_once):
    assert_same(fitted(make_ensemble(), slice(1, 3)), jax.tree.map(lambda leaf: leaf[1:3], all_at_once))


@pytest.mark.slow
def test_members_of_a_seed_share_their_batch_and_seeds_do_not():
    """From the same parameters every update of a seed alone is a function of its batch."""
    ensemble = make_ensemble(features=("side",), num_updates=4)
    keys, levels = timestep_keys(key_of(), TIMESTEPS), {"gamma": GAMMAS}
    same = jax.tree.map(lambda leaf: leaf.at[:, 1].set(leaf[:, 0]), ensemble.init(keys))
    trained = jax.device_get(fit(ensemble, keys, levels, params=same).params)
    assert abs(trained[-1]["weights"][:, 0] - trained[-1]["weights"][:, 1]).max() > 1e-3
    drawn = []
    feed = side_source()

    def draw(key, level, batch_size):
        z, classes = feed.draw(key, level, batch_size)
        drawn.append(z.shape)
        return z, classes

    watched = dataclasses.replace(make_ensemble(seeds=(0,)), train=ExampleSource(Partial(draw)))
    jax.eval_shape(watched.round, watched.start(watched.init(keys), keys, levels), keys, levels, jnp.zeros(3, int))
    assert drawn == [(32, 1)], "two features, one batch"


def test_each_seed_begins_from_examples_of_its_own():
    def init(key, examples, targets, categorical):
        return {"saw": examples[:, 0], "told": targets[:, 0]}

    points = jnp.arange(6.0)[:, None]
    known = {"value": jnp.array([0, 1, 0, 1, 1, 1])}
    ensemble = make_ensemble(features=("value",), seeds=(0, 1, 2))
    net = ensemble.net._replace(init=init)
    own = dataclasses.replace(ensemble, net=net, examples=points, example_classes=known, num_examples=2)
    found = own.init(timestep_keys(key_of(), TIMESTEPS))
    np.testing.assert_array_equal(found["saw"][1], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(found["told"][1], [[-1, 1], [-1, 1], [1, 1]])
    wrapped = dataclasses.replace(own, num_examples=4).init(timestep_keys(key_of(), TIMESTEPS))
    np.testing.assert_array_equal(wrapped["saw"][0], [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]])


@pytest.mark.slow
def test_members_of_a_timestep_differ_by_seed(all_at_once):
    hidden = all_at_once.params[0]["weights"]
    assert abs(hidden[:, 0] - hidden[:, 1]).max() > 0.1
    trunk = fitted(make_ensemble(members="trunk", seeds=(0,)))
    assert trunk.best_loss.shape == (3, 1) and np.all(trunk.best_loss < 1)


@pytest.mark.slow
@pytest.mark.parametrize("batching", BATCHING)
def test_a_stopped_member_is_frozen_and_the_others_go_on(batching):
    ensemble = make_ensemble(patience=2, num_updates=24, batching=batching)
    keys, levels = timestep_keys(key_of(), TIMESTEPS), {"gamma": GAMMAS}
    state = ensemble.start(ensemble.init(keys), keys, levels)
    state = state._replace(stale=state.stale.at[1, 2].set(2))
    before = jax.device_get(state)
    after = jax.device_get(ensemble.round(state, keys, levels, jnp.zeros(3, int)))
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(old[1, 2], new[1, 2])
    assert abs(before.params[-1]["weights"] - after.params[-1]["weights"]).max(axis=(2, 3)).astype(bool).sum() == 11
    assert after.rounds.sum() == 11


@pytest.mark.slow
def test_in_turn_a_stopped_member_is_not_computed():
    """Nets are called once for every update of a member that goes on, and twice for each of all to validate."""
    calls = []
    ensemble = make_ensemble(batching="map_members", patience=2)

    def apply(*arguments):
        jax.debug.callback(lambda: calls.append(1))
        return net.apply(*arguments)

    net = ensemble.net
    watched = dataclasses.replace(ensemble, net=net._replace(apply=apply))
    keys, levels = timestep_keys(key_of(), TIMESTEPS), {"gamma": GAMMAS}
    state = watched.start(watched.init(keys), keys, levels)
    state = state._replace(stale=state.stale.at[1, 2].set(2))
    jax.effects_barrier()
    calls.clear()
    jax.block_until_ready(watched.round(state, keys, levels, jnp.zeros(3, int)))
    jax.effects_barrier()
    assert len(calls) == 11 * 4 + 12 * 2


@pytest.mark.slow
def test_training_ends_with_the_best_parameters_and_when_all_have_stopped():
    hasty = make_ensemble(learning_rate=30.0, patience=2, num_updates=400, features=("value",))
    state = fitted(hasty)
    assert state.rounds.max() < 20 and np.all(state.stale >= 2)
    keys, levels = timestep_keys(key_of(), TIMESTEPS), {"gamma": GAMMAS}
    assert_same(jax.device_get(hasty.start(state.best, keys, levels).best_loss), state.best_loss)
    later = jax.device_get(hasty.start(state.params, keys, levels).best_loss)
    assert np.all(later >= state.best_loss - 1e-6) and later.max() > state.best_loss.max()


@pytest.mark.slow
@pytest.mark.parametrize("net", ["linear", "mlp"])
def test_probes_find_the_table_of_two_gaussians(net):
    """The best regression is no line: of R = 1 - MMSE/2 only the MLP can know."""
    ratios = np.array([0.1, 0.5, 1.0, 2.0, 4.0])
    gammas = -jnp.log(jnp.asarray(ratios, jnp.float32))
    ensemble = make_ensemble(
        net=net, hidden=(32,), seeds=(0,), batch_size=512, num_updates=300, updates_per_round=100, learning_rate=0.1
    )
    keys, levels = timestep_keys(key_of(3), np.arange(5)), {"gamma": gammas}
    state = fit(ensemble, keys, levels)
    scores = ensemble.scores(side_source(), 80)(state.best, keys, levels)
    by_label = jax.device_get(scores.by_label)
    found = {name: summarise_scores(FEATURES[name], by_label[name]) for name in ("side", "value")}
    for i, r in enumerate(ratios):
        known = two_gaussians(float(r))
        np.testing.assert_allclose(found["side"]["accuracy"][i], known.accuracy, atol=0.01)
        np.testing.assert_allclose(found["side"]["information_nats"][i], known.information, atol=0.01)
        if net == "mlp":
            np.testing.assert_allclose(1 - found["value"]["mse"][i] / 2, known.retention, atol=0.01)
    assert found["side"]["accuracy_standard_error"].max() < 0.003


def test_a_cpu_takes_members_in_turn_and_an_accelerator_all_at_once(monkeypatch):
    assert [usual_batching(net) for net in ("linear", "mlp", "matched")] == ["map", "map_members", "map_members"]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert usual_batching("mlp") == "vmap"


@pytest.mark.slow
def test_an_unknown_batching_is_told():
    ensemble = dataclasses.replace(make_ensemble(), batching="vmapp")
    with pytest.raises(UserError, match="did you mean 'vmap'"):
        ensemble.start  # noqa: B018
