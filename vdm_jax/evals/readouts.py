"""Readouts of a representation: a linear map and an MLP for every factor and seed, trained as one ensemble.

A factor without values is classified, and its score is the accuracy. One with values is regressed, and its score is R²,
1 less the squared error over the variance of the test values.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Integer, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.posterior import Feature

READERS = {"linear": 0, "mlp": 128}  # units of the hidden layer; 0: none
LEARNING_RATES = {"linear": (3e-2, 3e-3, 1e-4), "mlp": (3e-3, 3e-4)}  # wide features need small ones
BATCH = 256
ROUNDS = 10  # validations at each learning rate
SMALL = 1e-6
FARTHEST = 10.0
ONE_VALUE = "the test images are all of one value, so that R² has no variance to explain"

Features = Float[np.ndarray, "_ f"]


class Examples(NamedTuple):
    """Features of a split [N, F], and the class of each factor."""

    features: Features
    labels: dict[str, Integer[np.ndarray, " _"]]


class Targets(NamedTuple):
    """What members regress or classify: [N, M, O] values, their standard deviation [M, O], and whether each member
    classifies [M]. Of a classifier the values are one-hot; unused outputs are masked by `used` [M, O]."""

    values: dict[str, Float[np.ndarray, "_ m o"]]
    used: Float[np.ndarray, "m o"]
    classifies: Float[np.ndarray, " m"]


def train_readouts(
    key: Key[Array, ""],
    train: Examples,
    validation: Examples,
    test: Examples,
    factors: Mapping[str, Feature],
    *,
    num_steps: int,
    num_seeds: int = 3,
    one_scale: bool = False,
) -> dict[str, dict[str, Any]]:
    """Scores on test images: {factor: {"linear": entry, "mlp": entry, "metric": "accuracy" or "r2"}}.

    An entry has "value", the mean over seeds, "standard_error" over test images of the scores' mean over seeds, and
    "num", the number of test images; of a regression also "nearest_accuracy", the share of images whose nearest value
    is the right one. The weights are those with the lowest validation loss, as in `fit`. A factor that has one class in
    the training images is left out. R² of test images of one value is None, with a "reason". one_scale: as in
    `standardised`.
    """
    if not (chosen := readable(factors, train.labels)):
        return {}
    splits = {"train": train, "validation": validation, "test": test}
    targets = targets_of(chosen, {name: split.labels for name, split in splits.items()})
    features = standardised({name: split.features for name, split in splits.items()}, one_scale=one_scale)
    found: dict[str, dict[str, Any]] = {name: {"metric": metric_of(factor)} for name, factor in chosen.items()}
    for reader, hidden in READERS.items():
        params = initial(named_key(key, reader), features["train"].shape[-1], hidden, targets, num_seeds)
        settings = fit_settings(reader, num_steps, num_seeds)
        batches = named_key(named_key(key, reader), "batches")
        outputs = np.asarray(_train_readouts(batches, params, features, targets, **settings))
        for i, (name, factor) in enumerate(chosen.items()):
            values = targets.values["test"][:, i]
            found[name][reader] = score_of(outputs[:, i], values, targets.used[i] > 0, factor.values is None)
    return found


def readable(factors: Mapping[str, Feature], labels: Mapping[str, Integer[np.ndarray, " _"]]) -> dict[str, Feature]:
    """The factors that have more than one class among the training images."""
    return {name: factor for name, factor in factors.items() if len(np.unique(labels[name])) > 1}


def metric_of(factor: Feature) -> str:
    """What the score of a factor is: "accuracy", or "r2" of one with values."""
    return "accuracy" if factor.values is None else "r2"


def standardised(splits: Mapping[str, Features], *, one_scale: bool = False) -> dict[str, Float32[np.ndarray, "_ f"]]:
    """The features of all splits less the mean of those of "train", over their deviation; 0 where these are equal for
    all images.

    one_scale: all features are divided by the largest deviation instead. This suits principal components: of 1,024 with
    deviations of 1, most are noise, and a readout of a few thousand images overfits them.

    At most `FARTHEST` deviations: a pixel that is dark in nearly all training images would be hundreds of them away in
    another image, and one such image decides the validation loss.
    """
    train = splits["train"]
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    used = deviation > SMALL * max(1.0, float(np.abs(train).max()))
    scale = np.where(used, 1 / np.where(used, deviation, 1.0), 0.0)
    weight = deviation / max(deviation.max(), SMALL) if one_scale else np.ones_like(deviation)
    scaled = {name: np.clip((features - mean) * scale, -FARTHEST, FARTHEST) for name, features in splits.items()}
    return {name: (features * weight).astype(np.float32) for name, features in scaled.items()}


def targets_of(factors: Mapping[str, Feature], labels: dict[str, dict[str, np.ndarray]]) -> Targets:
    """The targets of every split, with as many outputs as the widest factor needs. Values are standardised by the
    training split."""
    tables = [np.eye(len(f.prior)) if f.values is None else np.asarray(f.values, np.float64) for f in factors.values()]
    for i, (name, factor) in enumerate(factors.items()):
        if factor.values is not None:
            seen = tables[i][labels["train"][name]]
            tables[i] = (tables[i] - seen.mean(axis=0)) / np.maximum(seen.std(axis=0), SMALL)
    width = max(table.shape[1] for table in tables)
    used = np.array([[column < table.shape[1] for column in range(width)] for table in tables], np.float32)
    padded = [np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in tables]
    values = {
        split: np.stack([table[own[name]] for table, name in zip(padded, factors, strict=True)], axis=1)
        for split, own in labels.items()
    }
    classifies = np.array([factor.values is None for factor in factors.values()], np.float32)
    return Targets({split: each.astype(np.float32) for split, each in values.items()}, used, classifies)


def fit_settings(reader: str, num_steps: int, num_seeds: int) -> dict[str, Any]:
    """The static settings of `fit`: of `num_steps` updates in `ROUNDS` rounds."""
    per_round = max(1, math.ceil(num_steps / ROUNDS))
    return {"learning_rates": LEARNING_RATES[reader], "per_round": per_round, "seeds": num_seeds}


def initial(key: Key[Array, ""], num_features: int, hidden: int, targets: Targets, num_seeds: int) -> PyTree:
    """The parameters of every seed and member, [S, M, ...]. hidden: units of the hidden layer; 0: none."""
    sizes = (num_features, *([hidden] if hidden else []), targets.used.shape[1])
    num_members = len(targets.used)
    keys = jax.random.split(named_key(key, "init"), num_seeds * num_members).reshape(num_seeds, num_members)
    return jax.vmap(jax.vmap(partial(_init, sizes=sizes)))(keys)


def _init(key: Key[Array, ""], sizes: tuple[int, ...]) -> PyTree:
    keys = jax.random.split(key, len(sizes) - 1)
    params = [
        {"kernel": jax.random.normal(own, shape) / math.sqrt(shape[0]), "bias": jnp.zeros(shape[1])}
        for own, shape in zip(keys, zip(sizes[:-1], sizes[1:], strict=True), strict=True)
    ]
    params[-1] = jax.tree.map(jnp.zeros_like, params[-1])  # at first the mean is predicted, or all classes alike
    return params


def _apply(params: PyTree, x: Float[Array, "n f"]) -> Float[Array, "n o"]:
    for i, layer in enumerate(params):
        x = (jax.nn.relu(x) if i else x) @ layer["kernel"] + layer["bias"][None]
    return x


def _losses(params: PyTree, x: Array, values: Array, used: Array, classifies: Array) -> Float[Array, " n"]:
    """Of one member: cross-entropy where it classifies, the squared error of standardised values otherwise."""
    output = _apply(params, x)
    log_p = jax.nn.log_softmax(jnp.where(used[None] > 0, output, -1e9), axis=1)
    squares = jnp.sum(used[None] * (output - values) ** 2, axis=1)
    return jnp.where(classifies > 0, -jnp.sum(used[None] * values * log_p, axis=1), squares)


@partial(jax.jit, static_argnames=("learning_rates", "per_round", "seeds"))
def _train_readouts(key, params, features, targets, *, learning_rates, per_round, seeds):
    return fit(key, params, features, targets, learning_rates=learning_rates, per_round=per_round, seeds=seeds)


def fit(key, params, features, targets, *, learning_rates: tuple[float, ...], per_round: int, seeds: int):
    """Trains all members of all seeds at each learning rate in turn; to be compiled.

    Members of a seed share their batches, and learning rates share initial weights and batches. Each member and seed
    has the weights with the lowest validation loss of all learning rates and their `ROUNDS` validations, the initial
    weights included. Adam moves each weight by about the learning rate, so that the output of F features moves by up to
    F times that: one rate does not serve 16 features and 4,096.

    Returns:
        Outputs of the test images, [S, M, N, O].
    """
    number = features["train"].shape[0]
    members = jax.vmap(_losses, (0, None, 1, 0, 0))
    keys = jax.vmap(lambda own: jax.random.split(own, per_round))(jax.random.split(key, ROUNDS))
    rows_of = jax.vmap(jax.vmap(lambda own: jax.random.randint(own, (seeds, min(BATCH, number)), 0, number)))
    batches = rows_of(keys)  # [ROUNDS, per_round, S, B]

    def of_seeds(params, x, values):  # x [S, B, F] or [B, F]; values [S, B, M, O] or [B, M, O]
        axis = 0 if x.ndim == 3 else None
        each = jax.vmap(members, (0, axis, axis, None, None))
        return each(params, x, values, targets.used, targets.classifies).mean(-1)  # [S, M]

    def validated(params):
        return of_seeds(params, features["validation"], targets.values["validation"])

    def at_rate(best, learning_rate):
        optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, per_round * ROUNDS))

        def update(state, rows):
            params, opt_state = state
            x, values = features["train"][rows], targets.values["train"][rows]
            grads = jax.grad(lambda params: of_seeds(params, x, values).sum())(params)
            updates, opt_state = optimizer.update(grads, opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        def one_round(carry, rows):
            state, best = carry
            state, _ = jax.lax.scan(update, state, rows)
            return (state, _better((state[0], validated(state[0])), best)), None

        start = ((params, optimizer.init(params)), best)
        (_, best), _ = jax.lax.scan(one_round, start, batches)
        return best, None

    (weights, _), _ = jax.lax.scan(at_rate, (params, validated(params)), jnp.asarray(learning_rates))
    return jax.vmap(jax.vmap(_apply, (0, None)), (0, None))(weights, features["test"])


def _better(new: tuple[PyTree, Array], old: tuple[PyTree, Array]) -> tuple[PyTree, Array]:
    """The weights and the loss [S, M] of each seed and member whose loss is lower; a loss that is NaN is not."""
    is_lower = new[1] < old[1]

    def chosen(new, old):
        return jnp.where(is_lower.reshape(*is_lower.shape, *[1] * (new.ndim - 2)), new, old)

    return jax.tree.map(chosen, new, old)


def score_of(outputs: np.ndarray, values: np.ndarray, used: np.ndarray, classifies: bool) -> dict[str, Any]:
    """outputs [S, N, O], values [N, O] -> an entry."""
    number = len(values)
    if classifies:
        right = outputs[..., used].argmax(-1) == values[:, used].argmax(-1)
        each = right.mean(axis=0)
        value, error = float(each.mean()), float(each.std(ddof=min(1, number - 1)) / np.sqrt(number))
        return {"value": value, "standard_error": error, "num": number}
    if unscored := without_r2(values):
        return unscored | {"nearest_accuracy": None}
    each = r2_of_images(outputs[..., used], values[:, used])
    error = float(each.mean(axis=0).std(ddof=min(1, number - 1)) / np.sqrt(number))
    nearest = _nearest_accuracy(outputs[..., used], values[:, used])
    return {"value": float(each.mean()), "standard_error": error, "num": number, "nearest_accuracy": nearest}


def without_r2(values: Float[np.ndarray, "n o"]) -> dict[str, Any] | None:
    """The entry of test values that are all equal, which have no R²; None where they differ."""
    if (values != values[:1]).any():
        return None
    return {"value": None, "standard_error": None, "num": len(values), "reason": ONE_VALUE}


def r2_of_images(outputs: Float[np.ndarray, "s n o"], values: Float[np.ndarray, "n o"]) -> Float[np.ndarray, "s n"]:
    """R² = 1 - Σ e / Σ v as a mean over images, for each of S outputs; e is the squared error, v the squared distance
    from the mean.

    The numbers of the images are those of the delta method for a ratio, R² + ((1 - R²) v - e) / mean v, so that the
    standard error of their mean counts that Σ v is of these images too. In (1 - R²) v, R² is the mean over outputs.
    """
    squares = ((outputs - values) ** 2).sum(-1, dtype=np.float64)
    spread = ((values - values.mean(axis=0)) ** 2).sum(-1, dtype=np.float64)
    ratio = squares.mean() / spread.mean()
    return 1 - ratio + (ratio * spread - squares) / spread.mean()


def _nearest_accuracy(outputs: Float[np.ndarray, "s n o"], values: Float[np.ndarray, "n o"]) -> float:
    """The share of outputs whose nearest value, of those that occur, is the right one."""
    table, right = np.unique(values, axis=0, return_inverse=True)
    guess = [((own[:, None] - table) ** 2).sum(-1).argmin(-1) for own in outputs]
    return float(np.mean(np.stack(guess) == right.reshape(1, -1)))
