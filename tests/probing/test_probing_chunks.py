"""Chunks: the same numbers whatever their size, a kill that loses one of them, sizes that the budget allows."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_probes import GAMMAS, TIMESTEPS, key_of, make_ensemble

from vdm_jax.base.errors import UserError
from vdm_jax.base.signals import Stopped, stop_at_sigterm
from vdm_jax.probing import training
from vdm_jax.probing.chunks import (
    bytes_of_timestep,
    chunk_size,
    flatten,
    load_chunks,
    restructure,
    run_in_chunks,
    unflatten,
)
from vdm_jax.probing.ensemble import fit, timestep_keys

ENSEMBLE = make_ensemble(num_updates=8)


class Run:
    """Trains a chunk; killed at the start of the chunk after `allowed`."""

    def __init__(self, allowed=99):
        self.ensemble, self.allowed, self.sizes = ENSEMBLE, allowed, []

    def __call__(self, index, timesteps):
        if len(self.sizes) == self.allowed:
            raise KeyboardInterrupt
        self.sizes.append(len(timesteps))
        state = fit(self.ensemble, timestep_keys(key_of(), timesteps), {"gamma": GAMMAS[index]})
        return {"params": state.best, "loss": state.best_loss}


def assert_same(a, b):
    a, b = flatten(a), flatten(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def in_one(tmp_path_factory):
    return run_in_chunks(Run(), TIMESTEPS, 3, tmp_path_factory.mktemp("in_one"))


@pytest.mark.slow
def test_chunks_are_the_whole_and_of_one_size(in_one, tmp_path):
    run = Run()
    assert_same(run_in_chunks(run, TIMESTEPS, 2, tmp_path), in_one)
    assert run.sizes == [2, 2] and in_one["loss"].shape == (3, 4)
    assert len(np.unique(in_one["loss"])) == 12


@pytest.mark.slow
def test_a_kill_loses_the_chunk_in_training_alone(in_one, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_in_chunks(Run(allowed=1), TIMESTEPS, 1, tmp_path)
    assert sorted(load_chunks(tmp_path)) == [100]
    run = Run()
    assert_same(run_in_chunks(run, TIMESTEPS, 2, tmp_path), in_one)  # also with another size
    assert run.sizes == [2]
    assert_same(run_in_chunks(Run(allowed=0), TIMESTEPS, 2, tmp_path), in_one)


@pytest.fixture
def stop_after(monkeypatch):
    """`stop_after(rounds)`: SIGTERM arrives in every loop over rounds after so many; None: never."""
    rounds = [None]

    def over(items):
        for done, item in enumerate(items, 1):
            yield item
            if done == rounds[0]:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(training, "bar", lambda name: over)
    return lambda number: rounds.__setitem__(0, number)


@pytest.mark.slow
@pytest.mark.parametrize("warm_updates", [None, 12])
def test_sigterm_between_rounds_changes_no_number(tmp_path, stop_after, warm_updates):
    def train(folder, timesteps=TIMESTEPS):
        settings = {"key": key_of(), "at_once": 3, "warm_updates": warm_updates}
        gammas = np.asarray(GAMMAS)[: len(timesteps)]
        with stop_at_sigterm():
            found = training.train_in_chunks(
                make_ensemble(), lambda *_: {}, timesteps, {"gamma": gammas}, folder, **settings
            )
        assert not list(folder.rglob(training.UNFINISHED))
        return found

    stop_after(None)
    whole = train(tmp_path / "whole")
    stop_after(1)
    for _ in range(2 if warm_updates is None else 4):  # each launch does one round, of three of either training
        with pytest.raises(Stopped):
            train(tmp_path / "stopped")
    stop_after(None)
    for name, values in flatten(train(tmp_path / "stopped")).items():
        np.testing.assert_array_equal(values, flatten(whole)[name], err_msg=name)
    stop_after(1)
    with pytest.raises(Stopped):
        train(tmp_path / "other", TIMESTEPS[:2])
    stop_after(None)
    if warm_updates is None:
        np.testing.assert_array_equal(train(tmp_path / "other")["rounds"], whole["rounds"])  # of another chunk: unused


def test_a_damaged_chunk_is_told(tmp_path):
    (tmp_path / "timesteps-00001-00002.npz").write_bytes(b"PK no")
    with pytest.raises(UserError, match="delete it"):
        load_chunks(tmp_path)


LIKE = {"params": {"weights": np.zeros((4, 3))}}
STEPS = {"timesteps": np.array([1, 2])}
WEIGHTS = {"params/weights": np.zeros((2, 4, 3))}


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "cannot be read"),
        (STEPS, r"params/weights is missing there and \[4, 3\] here; delete it"),
        (STEPS | {"params/weights": np.zeros((2, 4, 5))}, r"params/weights is \[4, 5\] there and \[4, 3\] here"),
        (STEPS | {"params/weights": np.zeros((1, 4, 3))}, "cannot be read"),
        (STEPS | WEIGHTS | {"rounds": np.zeros(2)}, "rounds is only there; delete it"),
    ],
    ids=["nothing", "no parameters", "another net", "too few timesteps", "other results"],
)
def test_a_chunk_of_other_probes_is_told(tmp_path, arrays, told):
    np.savez(tmp_path / "timesteps-00000-00000.npz", timesteps=np.array([0]), **{n: a[:1] for n, a in WEIGHTS.items()})
    assert sorted(load_chunks(tmp_path, LIKE)) == [0]
    path = tmp_path / "timesteps-00001-00002.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=told) as error:
        load_chunks(tmp_path, LIKE)
    assert str(path) in str(error.value)


def test_the_budget_counts_members_and_what_the_backward_pass_keeps():
    ensemble, level = make_ensemble(), {"gamma": jnp.float32(0)}
    state, kept = bytes_of_timestep(ensemble, level)
    assert state == 12 * 4 * 4 * (8 + 8 + 8 * 2 + 2) + 4  # four members: 1 -> 8 -> 2; gamma
    wide = {"gamma": jnp.float32(0), "z": jnp.zeros((50, 3))}
    assert bytes_of_timestep(ensemble, wide)[0] == state + 4 * 150
    assert kept >= 4 * 4 * 32 * 8  # the hidden layer of each
    assert chunk_size(ensemble, level, 99, kept + 5 * state) == 5
    at_once = make_ensemble(batching="vmap")
    assert chunk_size(at_once, level, 99, 5 * sum(bytes_of_timestep(at_once, level))) == 5
    assert chunk_size(make_ensemble(devices=2), level, 99, kept + 5 * state) == 10
    assert chunk_size(make_ensemble(devices=2), level, 3, 1e9) == 4
    with pytest.raises(UserError, match="the members of one timestep need"):
        chunk_size(ensemble, level, 99, kept)


def test_parameters_come_back_in_their_structure():
    params = make_ensemble().init(timestep_keys(key_of(), TIMESTEPS))
    restored = restructure(unflatten(flatten(params)), params)
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(restored), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_in_files_are_the_paths_of_nested_results():
    results = {"probe": {"shape": {"accuracy": np.ones(2)}}, "params": [{"weights": np.zeros(2)}], "rounds": np.ones(2)}
    flat = flatten(results)
    assert list(flat) == ["params/0/weights", "probe/shape/accuracy", "rounds"]
    assert unflatten(flat)["probe"]["shape"]["accuracy"] is flat["probe/shape/accuracy"]
