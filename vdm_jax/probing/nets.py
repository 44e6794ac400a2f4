"""Networks of probes: pure functions of parameters, each for one member; an ensemble is their `vmap`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.optimal import inverse_variance

Shape = tuple[int, ...]
Images = Float[Array, "b ..."]
SHARPEST = (
    20.0  # alpha/sigma² above which `matched` takes no more: one pixel there decides anyway, gradients need slopes
)
READOUT_GAIN = 10.0  # of what `matched` reads off: Adam's steps should move that sooner than the templates


class Net(NamedTuple):
    """`init(key, examples) -> params`: examples [E, ...] are images without noise, which only `matched` looks at.

    `apply(params, z [B, ...], gamma [], categorical [O]) -> [B, O]`: categorical says which outputs are logits.
    """

    init: Callable[[Key[Array, ""], Images], PyTree]
    apply: Callable[[PyTree, Images, Float[Array, ""], Bool[Array, " o"]], Float[Array, "b o"]]


def make_net(
    name: str,
    shape: Shape,
    num_outputs: int,
    *,
    hidden: Sequence[int] = (128, 128),
    num_templates: int = 48,
    window: int = 15,
) -> Net:
    """One of `NETS` for images of `shape`. hidden: of `mlp`, widths; of `conv`, channels. The others: of `matched`."""
    choose("net", name, dict.fromkeys(NETS))
    if name == "matched":
        if len(shape) != 3 or not 1 <= window <= min(shape[:2]):
            raise UserError(f"window={window}; expected 1 … {min(shape[:2])}, the side of images {shape}")
        init, apply = partial(init_matched, num_outputs, num_templates, window), apply_matched
    elif name == "conv":
        init, apply = partial(init_conv, shape, tuple(hidden), num_outputs), apply_conv
    else:
        widths = () if name == "linear" else tuple(hidden)
        init, apply = partial(init_dense, (int(np.prod(shape)), *widths, num_outputs)), apply_mlp
    return Net(init, apply)


def init_dense(sizes: tuple[int, ...], key: Key[Array, ""], examples: Images) -> list[dict[str, Array]]:
    """He's normal weights, the last layer's zero: a fresh probe says nothing."""
    del examples
    layers = []
    for i, (into, out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        deviation = 0.0 if i == len(sizes) - 2 else (2 / into) ** 0.5
        weights = deviation * jax.random.normal(named_key(key, f"layer_{i}"), (into, out))
        layers.append({"weights": weights, "bias": jnp.zeros((1, out))})
    return layers


def apply_mlp(
    params: list[dict[str, Array]], z: Images, gamma: Float[Array, ""], categorical: Bool[Array, " o"]
) -> Float[Array, "b o"]:
    """relu between the layers; one layer is a linear probe."""
    del gamma, categorical
    h = z.reshape(z.shape[0], -1)
    for layer in params[:-1]:
        h = jax.nn.relu(h @ layer["weights"] + layer["bias"])
    return h @ params[-1]["weights"] + params[-1]["bias"]


def init_conv(
    shape: Shape, channels: tuple[int, ...], num_outputs: int, key: Key[Array, ""], examples: Images
) -> list[dict[str, Array]]:
    """A layer of 4x4 windows two pixels apart for each of `channels`, then one dense layer over all places."""
    height, width, into = shape
    layers = []
    for i, out in enumerate(channels):
        layers += init_dense((16 * into, out, 1), named_key(key, f"conv_{i}"), examples)[:1]
        height, width, into = (height + 1) // 2, (width + 1) // 2, out
    return layers + init_dense((height * width * into, num_outputs), key, examples)


def apply_conv(
    params: list[dict[str, Array]], z: Images, gamma: Float[Array, ""], categorical: Bool[Array, " o"]
) -> Float[Array, "b o"]:
    """Convolutions as products of windows with weights: under `vmap` batched matrix products, not grouped ones."""
    h = z
    for layer in params[:-1]:
        rows, columns = (size + size % 2 for size in h.shape[1:3])
        h = jnp.pad(h, ((0, 0), (1, rows - h.shape[1] + 1), (1, columns - h.shape[2] + 1), (0, 0)))
        parts = [h[:, i : i + rows : 2, j : j + columns : 2] for i in range(4) for j in range(4)]
        windows = jnp.concatenate(parts, axis=-1)
        flat = windows.reshape(-1, windows.shape[-1]) @ layer["weights"] + layer["bias"]
        h = jax.nn.relu(flat).reshape(*windows.shape[:3], -1)
    return apply_mlp(params[-1:], h, gamma, categorical)


def correlate(templates: Float[Array, "n h w c"], z: Float[Array, "b height width c"]) -> Float[Array, "n x y b"]:
    """<template, window of z> at every place, x the column and y the row of its corner.

    One matrix product of whole rows of z with templates laid out at every column, zero elsewhere: width/w times the
    arithmetic of all windows, but on a w-th of their memory, which is what takes the time; the batch comes last so that
    copies are of long pieces.
    """
    num, height, width, _ = templates.shape
    z = jax.lax.optimization_barrier(jnp.moveaxis(z, 0, -1))  # not to be drawn again for every row
    rows, columns = z.shape[0] - height + 1, z.shape[1] - width + 1
    strips = jnp.moveaxis(jnp.stack([z[i : i + rows] for i in range(height)]), 1, 3)  # [h, width, c, y, b]
    laid = [jnp.pad(templates, ((0, 0), (0, 0), (j, columns - 1 - j), (0, 0))) for j in range(columns)]
    match = jnp.stack(laid, axis=1).reshape(num * columns, -1) @ strips.reshape(-1, rows * z.shape[3])
    return match.reshape(num, columns, rows, -1)


def init_matched(
    num_outputs: int, num_templates: int, window: int, key: Key[Array, ""], examples: Float[Array, "e h w c"]
) -> dict[str, PyTree]:
    """Templates are windows of examples, as different from each other as can be, less the image's median.

    Of each example the window whose middle holds most of what is not background; of these one at random, then always
    the one farthest from those chosen. (From random templates the training ends 10 to 25 points below the exact curve.)
    """
    num, height, width, _ = examples.shape
    background = jnp.median(examples.reshape(num, -1), axis=1)
    figure = examples - background[:, None, None, None]
    bump = np.exp(-0.5 * ((np.arange(window) - (window - 1) / 2) / (window / 4)) ** 2)

    def bands(size):
        return jnp.asarray([np.pad(bump, (i, size - window - i)) for i in range(size - window + 1)], jnp.float32)

    energy = jnp.einsum("ph,ehwc,qw->epq", bands(height), figure**2, bands(width))
    place = energy.reshape(num, -1).argmax(axis=1)

    def cut(image, place):
        start = (place // energy.shape[2], place % energy.shape[2], 0)
        return jax.lax.dynamic_slice(image, start, (window, window, image.shape[2]))

    candidates = jax.vmap(cut)(figure, place)

    def choose_next(i, carry):
        chosen, distance = carry
        chosen = chosen.at[i].set(distance.argmax())
        return chosen, jnp.minimum(distance, jnp.sum((candidates - candidates[chosen[i]][None]) ** 2, (1, 2, 3)))

    start = 1e6 * (1 + jax.random.uniform(named_key(key, "first"), (num,)))  # farther than any distance
    chosen, _ = jax.lax.fori_loop(0, num_templates, choose_next, (jnp.zeros(num_templates, int), start))
    templates = candidates[chosen]
    level = background[chosen] * templates.sum((1, 2, 3)) + 0.5 * jnp.sum(templates**2, (1, 2, 3))
    sizes = {"template": num_templates, "row": energy.shape[1], "column": energy.shape[2]}

    def readout(name):
        return 0.1 / READOUT_GAIN * jax.random.normal(named_key(key, name), (sizes[name], num_outputs))

    return {
        "templates": templates,
        "level": level,
        "bias": {name: jnp.zeros(size) for name, size in sizes.items()},
        "readout": {name: readout(name) for name in sizes},
        "output_bias": jnp.zeros((1, num_outputs)),
    }


def apply_matched(
    params: dict[str, PyTree],
    z: Float[Array, "b h w c"],
    gamma: Float[Array, ""],
    categorical: Bool[Array, " o"],
) -> Float[Array, "b o"]:
    """Which template, where: a softmax over templates and places of (alpha/sigma²)(<mu, window> - alpha level) + bias.

    Outputs read its marginals m over templates, rows and columns: values are linear in them, logits of classes are
    sums of log Σ m exp(readout). With the true templates and readouts this is the exact posterior of whatever shifts
    on a flat background: level is what is left of ½||x||².
    """
    alpha, _ = alpha_sigma(gamma)
    sharpness = jnp.minimum(alpha * inverse_variance(gamma), SHARPEST)
    bias, readout, output_bias = (
        jax.tree.map(lambda leaf: READOUT_GAIN * leaf, params[name]) for name in ("bias", "readout", "output_bias")
    )
    logits = (
        sharpness * correlate(params["templates"], z)
        + (bias["template"] - sharpness * alpha * params["level"])[:, None, None, None]
    )
    logits = logits + bias["column"][None, :, None, None] + bias["row"][None, None, :, None]
    p = jax.nn.softmax(logits.reshape(-1, z.shape[0]), axis=0).reshape(logits.shape)
    marginals = {"template": p.sum((1, 2)).T, "column": p.sum((0, 2)).T, "row": p.sum((0, 1)).T}
    linear = output_bias + sum(m @ readout[name] for name, m in marginals.items())
    mixed = output_bias + sum(log_mixture(m, readout[name]) for name, m in marginals.items())
    return jnp.where(categorical[None], mixed, linear)


def log_mixture(m: Float[Array, "b n"], logits: Float[Array, "n o"]) -> Float[Array, "b o"]:
    """log Σ_n m exp(logits); the largest is taken out, and the smallest normal number keeps an empty sum finite."""
    top = jax.lax.stop_gradient(logits.max(axis=0, keepdims=True))
    return top + jnp.log(m @ jnp.exp(logits - top) + np.finfo(np.float32).tiny)


NETS = ("linear", "mlp", "conv", "matched")
