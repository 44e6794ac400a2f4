"""Trains the probes of all timesteps of an ensemble, chunk by chunk, perhaps from one that is trained first."""

import pathlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.chunks import Results, restructure, run_in_chunks
from vdm_jax.probing.curves import summarise_known, summarise_scores
from vdm_jax.probing.ensemble import Ensemble, Scored, State, fit, timestep_keys
from vdm_jax.probing.example_sources import Condition
from vdm_jax.probing.unfinished import Unfinished

# Parts of a chunk's results, each {feature: {curve: [M]}}: under the exact posterior, by labels, the share known that
# windows are read from, by labels of held-out x, and of each row of a pool.
PROBE, BY_LABEL, KNOWN, HELD_OUT, BY_ROW = "probe", "by_label", "known", "held_out", "by_row"
UNFINISHED = "unfinished.npz"  # what SIGTERM has stopped, in the folder of the chunks
MOST_NOISE = 5.0  # gamma above which no training starts


def train_in_chunks(
    ensemble: Ensemble,
    measure: Callable[..., Results],
    steps: np.ndarray,
    conditions: dict[str, np.ndarray],
    folder: pathlib.Path,
    *,
    key: Key[Array, ""],
    at_once: int,
    warm_updates: int | None,
    say: Callable[[str], None] = lambda text: None,
) -> Results:
    """Results, parameters and rounds of every timestep, [M, …]; chunks stored in `folder` are not trained again.

    measure(params, keys, conditions): the results that are kept beside the parameters. conditions: [M, …] each, on the
    host until they are trained. at_once: timesteps of a chunk. warm_updates: of one timestep that is trained first and
    whose parameters the others start from; None: every timestep starts from its own.
    """
    started: list[PyTree] = []  # once there is something to train

    def run(index: np.ndarray, chunk: np.ndarray) -> Results:
        if warm_updates is not None and not started:
            started.append(warm_start(ensemble, key, steps, conditions, folder, warm_updates, say))
        own = {name: jnp.asarray(values[index]) for name, values in conditions.items()}
        keys = timestep_keys(key, chunk)
        params = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(chunk), axis=0), started[0]) if started else None
        state = fit_or_go_on(ensemble, keys, own, params, f"probe {chunk[0]} … {chunk[-1]}", unfinished(chunk))
        results = {"params": state.best, "rounds": state.rounds, "validation_loss": state.best_loss}
        return results | measure(state.best, keys, own)

    def unfinished(chunk: np.ndarray) -> Unfinished:
        return Unfinished(folder / UNFINISHED, chunk)

    results = run_in_chunks(run, steps, at_once, folder, say, {"params": shapes_of_timestep(ensemble)})
    unfinished(steps).remove()
    return results


def fit_or_go_on(
    ensemble: Ensemble, keys: Key[Array, " m"], conditions: Condition, params: PyTree, name: str, stored: Unfinished
) -> State:
    """`fit`, from where SIGTERM has stopped it if that is stored. The number of rounds and all numbers are the same."""
    found = None
    if stored.path.exists():
        found = stored.load(jax.eval_shape(lambda: ensemble.start(ensemble.init(keys), keys, conditions)))
    return fit(ensemble, keys, conditions, params=params, progress=bar(name), stored=found, at_stop=stored.save)


def warm_start(
    ensemble: Ensemble,
    key: Key[Array, ""],
    steps: np.ndarray,
    conditions: dict[str, np.ndarray],
    folder: pathlib.Path,
    num_updates: int,
    say: Callable[[str], None],
) -> PyTree:
    """Parameters [1, K, ...] trained at one timestep, `warm_start_index`."""
    index = np.array([warm_start_index(conditions["gamma"])])
    longer = replace(ensemble, mesh=make_mesh(1), training=replace(ensemble.training, num_updates=num_updates))
    keys = timestep_keys(named_key(key, "warm_start"), steps[index])

    stored = Unfinished(folder / "warm_start" / UNFINISHED, steps[index])

    def run(_: np.ndarray, chunk: np.ndarray) -> Results:
        say(f"warm start at timestep {chunk[0]}")
        own = {name: jnp.asarray(values[index]) for name, values in conditions.items()}
        return {"params": fit_or_go_on(longer, keys, own, None, "warm start", stored).best}

    like = {"params": shapes_of_timestep(ensemble)}
    found = run_in_chunks(run, steps[index], 1, folder / "warm_start", like=like)
    stored.remove()
    return restructure(found["params"], jax.eval_shape(longer.init, keys))


def shapes_of_timestep(ensemble: Ensemble) -> PyTree:
    """The shapes of the parameters [K, ...] of one timestep."""
    params = jax.eval_shape(ensemble.init, timestep_keys(jax.random.key(0), np.array([0])))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)


def warm_start_index(gammas: Float[np.ndarray, " m"]) -> int:
    """The timestep whose SNR is nearest to 1, where a probe sees the features and is unsure often enough to learn.

    Where none is near, as on a Dirac schedule, one with too little noise, and never one with nothing but noise.
    """
    return int(np.where(gammas < MOST_NOISE, np.abs(gammas), np.inf).argmin())


def summarise_probes(features: Mapping[str, Feature], scored: Scored) -> Results:
    """Curves of each feature: under the exact posterior, by labels, and the share known."""
    results: Results = {PROBE: {}, BY_LABEL: {}, KNOWN: {}}
    for name, feature in features.items():
        results[PROBE][name] = summarise_scores(feature, scored.judged[name], scored.image)
        results[BY_LABEL][name] = summarise_scores(feature, scored.by_label[name], scored.image)
        results[KNOWN][name] = summarise_known(feature, scored.judged[name], scored.image)
    return results


def summarise_held_out(features: Mapping[str, Feature], scored: Scored) -> Results:
    """Curves of each feature by the labels of held-out x, for which the exact curve is no reference."""
    return {
        HELD_OUT: {
            name: summarise_scores(feature, scored.by_label[name], scored.image) for name, feature in features.items()
        }
    }
