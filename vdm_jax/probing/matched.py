"""The probe of matched filters: a softmax over its templates at all places.

With the true templates and readouts it is the exact posterior of shifted templates on a flat background.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.rows import inverse_variance

# Cap of alpha/sigma² in `matched`: above it one pixel decides anyway, and gradients need slopes.
SHARPEST = 20.0
READOUT_GAIN = 10.0  # of readouts and biases, so that Adam's steps move these sooner than the templates
COPY_COST = 100  # multiply-adds of a matrix product that take as long as copying one number
UNSEEN = 0.01  # examples added to each part, so that a part without examples is improbable but possible
TINY = np.finfo(np.float32).tiny


def init_matched(
    num_outputs: int,
    num_templates: int,
    window: int,
    key: Key[Array, ""],
    examples: Float[Array, "e h w c"],
    targets: Float[Array, "e o"] | None = None,
    categorical: Bool[Array, " o"] | None = None,
) -> dict[str, PyTree]:
    """Templates are windows of examples, as different from each other as possible, less the image's median.

    Candidates are the windows of the examples' figures. The first is random; each next one is the farthest from those
    chosen. With targets, each template, row and column starts with the mean target of its nearest examples
    (`what_they_are`), as in a classifier by prototypes; without, the readouts are small random numbers.
    """
    found = figures(examples, window)
    num_rows, num_columns = (size - window + 1 for size in examples.shape[1:3])
    chosen, nearest = choose_apart(named_key(key, "first"), found.windows.reshape(len(examples), -1), num_templates)
    templates = found.windows[chosen]
    level = found.background[chosen] * templates.sum((1, 2, 3)) + 0.5 * jnp.sum(templates**2, (1, 2, 3))
    where = {"template": nearest, "row": found.row, "column": found.column}
    sizes = {"template": num_templates, "row": num_rows, "column": num_columns}
    if targets is None:
        bias = {name: jnp.zeros(size) for name, size in sizes.items()}
        readout = {
            name: 0.1 * jax.random.normal(named_key(key, name), (size, num_outputs)) for name, size in sizes.items()
        }
        output_bias = jnp.zeros((1, num_outputs))
    else:
        parts = {name: what_they_are(where[name], size, targets, categorical) for name, size in sizes.items()}
        bias, readout = ({name: pair[i] for name, pair in parts.items()} for i in (0, 1))
        prior = targets.mean(axis=0, keepdims=True)
        output_bias = jnp.where(categorical[None], jnp.log(jnp.maximum(prior, TINY)), prior)
    learned = {"bias": bias, "readout": readout, "output_bias": output_bias}
    return {"templates": templates, "level": level} | jax.tree.map(lambda leaf: leaf / READOUT_GAIN, learned)


class Figures(NamedTuple):
    """For each example the window with its figure, the part that is not background, and its place."""

    windows: Float[Array, "e window window c"]  # less the background
    background: Float[Array, " e"]  # the median
    row: Int[Array, " e"]
    column: Int[Array, " e"]


def figures(examples: Float[Array, "e h w c"], window: int) -> Figures:
    """The window whose middle has most of the energy that is not background."""
    num, height, width, _ = examples.shape
    background = jnp.median(examples.reshape(num, -1), axis=1)
    figure = examples - background[:, None, None, None]
    bump = np.exp(-0.5 * ((np.arange(window) - (window - 1) / 2) / (window / 4)) ** 2)

    def bands(size):
        return jnp.asarray([np.pad(bump, (i, size - window - i)) for i in range(size - window + 1)], jnp.float32)

    energy = jnp.einsum("ph,ehwc,qw->epq", bands(height), figure**2, bands(width))
    place = energy.reshape(num, -1).argmax(axis=1)
    row, column = place // energy.shape[2], place % energy.shape[2]

    def cut(image, row, column):
        return jax.lax.dynamic_slice(image, (row, column, 0), (window, window, image.shape[2]))

    return Figures(jax.vmap(cut)(figure, row, column), background, row, column)


def choose_apart(
    key: Key[Array, ""], points: Float[Array, "e d"], num: int
) -> tuple[Int[Array, " n"], Int[Array, " e"]]:
    """(chosen, nearest): a random point, then always the one farthest from those chosen; and for every point the
    nearest of the chosen, the first of several."""

    def choose_next(i, carry):
        chosen, nearest, distance = carry
        chosen = chosen.at[i].set(distance.argmax())
        from_it = jnp.sum((points - points[chosen[i]][None]) ** 2, axis=1)
        return chosen, jnp.where(from_it < distance, i, nearest), jnp.minimum(distance, from_it)

    start = 1e6 * (1 + jax.random.uniform(key, (points.shape[0],)))  # farther than any distance
    none = jnp.zeros(num, int), jnp.zeros(points.shape[0], int), start
    return jax.lax.fori_loop(0, num, choose_next, none)[:2]


def what_they_are(
    where: Int[Array, " e"], size: int, targets: Float[Array, "e o"], categorical: Bool[Array, " o"]
) -> tuple[Float[Array, " n"], Float[Array, "n o"]]:
    """(bias, readout) of `size` parts from the examples that belong to each.

    bias: the log of the number of these, relative to an even share. readout: their mean target less the overall mean;
    for a class log p(class | part)/p(class). Each part gets half an example with the overall mean. Each output is
    multiplied by 1 - 1/F, F of the analysis of variance, which removes the differences that chance explains: a template
    should not predict where its examples happened to be.
    """
    one_hot = jax.nn.one_hot(where, size)
    count, sums, prior = one_hot.sum(axis=0)[:, None], one_hot.T @ targets, targets.mean(axis=0, keepdims=True)
    means = (sums + 0.5 * prior) / (count + 0.5)
    used = (count > 0).sum()
    between = jnp.sum(count * (sums / jnp.maximum(count, 1) - prior) ** 2, axis=0) / jnp.maximum(used - 1, 1)
    within = jnp.sum((targets - one_hot @ (sums / jnp.maximum(count, 1))) ** 2, axis=0)
    within = within / jnp.maximum(len(where) - used, 1)
    kept = jnp.clip(1 - within / jnp.maximum(between, TINY), 0, 1)[None]
    odds = jnp.log(jnp.maximum(means, TINY)) - jnp.log(jnp.maximum(prior, TINY))
    bias = jnp.log((count[:, 0] + UNSEEN) * size / len(where))
    return bias, kept * jnp.where(categorical[None], odds, means - prior)


def columns_at_once(num_templates: int, window: int, columns: int) -> int:
    """The number k of neighbouring columns of places that share one strip of the image, a divisor of `columns`.

    A strip is window + k - 1 wide: it takes (window + k - 1)/window times the arithmetic of single windows and a k-th
    of their memory.
    """
    divisors = [k for k in range(1, columns + 1) if columns % k == 0]
    return min(divisors, key=lambda k: (window + k - 1) * (num_templates + COPY_COST / k))


def correlate(templates: Float[Array, "n h w c"], z: Float[Array, "b height width c"]) -> Float[Array, "n k j y b"]:
    """<template, window of z> at every place: y is the row of its corner, j k_max + k the column.

    One matrix product of strips of z, k_max columns of places wide (`columns_at_once`), with the templates at each of
    these columns and zeros elsewhere. The batch is the last axis, so that long pieces are copied.
    """
    num, height, width, _ = templates.shape
    z = jax.lax.optimization_barrier(jnp.moveaxis(z, 0, -1))  # not to be recomputed for every row
    rows, columns = z.shape[0] - height + 1, z.shape[1] - width + 1
    each = columns_at_once(num, width, columns)
    across = width + each - 1
    cut = jnp.stack([z[:, j : j + across] for j in range(0, columns, each)], axis=2)  # [height, across, j, c, b]
    strips = jnp.stack([cut[i : i + rows] for i in range(height)])  # [h, y, across, j, c, b]
    strips = strips.transpose(0, 2, 4, 3, 1, 5)  # [h, across, c, j, y, b]
    laid = [jnp.pad(templates, ((0, 0), (0, 0), (k, each - 1 - k), (0, 0))) for k in range(each)]
    match = jnp.stack(laid, axis=1).reshape(num * each, -1) @ strips.reshape(height * across * z.shape[2], -1)
    return match.reshape(num, each, columns // each, rows, -1)


def apply_matched(
    params: dict[str, PyTree],
    z: Float[Array, "b h w c"],
    gamma: Float[Array, ""],
    categorical: Bool[Array, " o"],
) -> Float[Array, "b o"]:
    """A softmax over templates and places of (alpha/sigma²)(<mu, window> - alpha level) + bias.

    Outputs are functions of its marginals m over templates, rows and columns: values are linear in them, logits of
    classes are sums of log Σ m exp(readout). With the true templates and readouts this is the exact posterior of
    shifted templates on a flat background; level is the part of ½||x||² that depends on the template.
    """
    return read_marginals(params, match_logits(params, z, gamma), categorical)


def match_logits(
    params: dict[str, PyTree], z: Float[Array, "b h w c"], gamma: Float[Array, ""]
) -> Float[Array, "n k j y b"]:
    """The logits of every template at every place, in the layout of `correlate`."""
    alpha, _ = alpha_sigma(gamma)
    sharpness = jnp.minimum(alpha * inverse_variance(gamma), SHARPEST)
    bias, match = amplified(params["bias"]), correlate(params["templates"], z)
    each = match.shape[1]
    of_column = bias["column"].reshape(-1, each).T[None, :, :, None, None]
    of_template = bias["template"] - sharpness * alpha * params["level"]
    of_row = bias["row"][None, None, None, :, None]
    return sharpness * match + of_template[:, None, None, None, None] + of_column + of_row


def read_marginals(
    params: dict[str, PyTree], logits: Float[Array, "n k j y b"], categorical: Bool[Array, " o"]
) -> Float[Array, "b o"]:
    """The outputs: the readouts of templates, rows and columns, weighted by their probabilities."""
    batch = logits.shape[-1]
    readout, output_bias = amplified(params["readout"]), amplified(params["output_bias"])
    p = jax.nn.softmax(logits.reshape(-1, batch), axis=0).reshape(logits.shape)
    marginals = {
        "template": p.sum((1, 2, 3)).T,
        "column": p.sum((0, 3)).transpose(2, 1, 0).reshape(batch, -1),
        "row": p.sum((0, 1, 2)).T,
    }
    linear = output_bias + sum(m @ readout[name] for name, m in marginals.items())
    mixed = output_bias + sum(log_mixture(m, readout[name]) for name, m in marginals.items())
    return jnp.where(categorical[None], mixed, linear)


def amplified(learned: PyTree) -> PyTree:
    """The parameters times `READOUT_GAIN`."""
    return jax.tree.map(lambda leaf: READOUT_GAIN * leaf, learned)


def log_mixture(m: Float[Array, "b n"], logits: Float[Array, "n o"]) -> Float[Array, "b o"]:
    """log Σ_n m exp(logits), stable: the largest logit is factored out, and `TINY` keeps an empty sum finite."""
    top = jax.lax.stop_gradient(logits.max(axis=0, keepdims=True))
    return top + jnp.log(m @ jnp.exp(logits - top) + TINY)
