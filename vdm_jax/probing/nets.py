"""Networks of probes: pure functions of parameters, each for one member of an ensemble."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.probing.matched import apply_matched, init_matched
from vdm_jax.probing.matched_statistics import apply_matched_statistics, init_matched_statistics

FEW_CHANNELS = 8  # with fewer, a block of 2x2 gives a product of fewer than 32 terms, which is slow

Shape = tuple[int, ...]
Images = Float[Array, "b ..."]


class Net(NamedTuple):
    """A network of a probe.

    init: (key, examples, targets, categorical) -> params. examples: x without noise, [E, ...]. targets: the outputs
        wanted for them, [E, O] (standardised values, one-hot classes), or None. Only nets that take `num_examples`
        use either.
    apply: (params, z [B, ...], gamma [], categorical [O]) -> [B, O]; categorical: which outputs are logits.
    """

    init: Callable[[Key[Array, ""], Images, Float[Array, "e o"] | None, Bool[Array, " o"] | None], PyTree]
    apply: Callable[[PyTree, Images, Float[Array, ""], Bool[Array, " o"]], Float[Array, "b o"]]


class NetKind(NamedTuple):
    """How a net is made.

    make: (shape of x, num_outputs, settings by name) -> Net. takes: the names of the settings, those of `make` and
    "num_examples" where it starts from labelled examples, which are sprites.
    """

    make: Callable[..., Net]
    takes: tuple[str, ...]


def make_net(name: str, shape: Shape, num_outputs: int, **settings: Any) -> Net:
    """One of `NETS` for x of `shape`, with those of the settings that it takes. Raises `UserError`."""
    kind = choose("net", name, NETS)
    return kind.make(shape, num_outputs, **{each: value for each, value in settings.items() if each in kind.takes})


def standardised(net: Net, mean: Float[np.ndarray, "*shape"], variance: Float[np.ndarray, "*shape"]) -> Net:
    """A net that reads (z_t - alpha_t mean)/√(alpha_t² variance + sigma_t²), which has variance 1 at every noise level.

    mean, variance: of each value of x without noise. Latents may have any scale, and each component its own.
    """

    def apply(params, z, gamma, categorical):
        alpha, sigma = alpha_sigma(gamma)
        deviation = jnp.sqrt(alpha**2 * jnp.asarray(variance) + sigma**2)
        return net.apply(params, (z - alpha * jnp.asarray(mean)[None]) / deviation[None], gamma, categorical)

    return net._replace(apply=apply)


def make_dense(shape: Shape, num_outputs: int, *, hidden: Sequence[int] = ()) -> Net:
    """Dense layers of the widths `hidden`; none: a linear probe."""
    return Net(blind(partial(init_dense, (int(np.prod(shape)), *hidden, num_outputs))), apply_mlp)


def make_conv(shape: Shape, num_outputs: int, *, hidden: Sequence[int]) -> Net:
    """Convolutions of the channels `hidden`. Raises `UserError` for x without height, width and channels."""
    if len(shape) != 3:
        raise UserError(f"net='conv' needs x with height, width and channels, and these have shape {list(shape)}")
    return Net(blind(partial(init_conv, shape, tuple(hidden), num_outputs)), apply_conv)


def make_filters(init: Callable, apply: Callable) -> Callable[..., Net]:
    """The `make` of a net that matches `num_templates` templates with sides of `window` pixels."""

    def make(shape: Shape, num_outputs: int, *, num_templates: int = 48, window: int = 15) -> Net:
        if len(shape) != 3 or not 1 <= window <= min(shape[:2]):
            raise UserError(f"window={window}; expected 1 … {min(shape[:2])}, the side of images {shape}")
        return Net(partial(init, num_outputs, num_templates, window), apply)

    return make


def blind(init: Callable[[Key[Array, ""]], PyTree]) -> Callable[..., PyTree]:
    """An init that ignores the examples."""

    def of_key_alone(key, examples, targets=None, categorical=None):
        del examples, targets, categorical
        return init(key)

    return of_key_alone


def init_dense(sizes: tuple[int, ...], key: Key[Array, ""]) -> list[dict[str, Array]]:
    """He's normal weights; those of the last layer are 0, so that a fresh probe predicts nothing."""
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


def init_conv(shape: Shape, channels: tuple[int, ...], num_outputs: int, key: Key[Array, ""]) -> list[dict[str, Array]]:
    """For each of `channels` a layer of 4x4 windows with a stride of 2, then one dense layer over all places."""
    height, width, into = shape
    layers = []
    for i, out in enumerate(channels):
        layers += init_dense((16 * into, out, 1), named_key(key, f"conv_{i}"))[:1]
        height, width, into = (height + 1) // 2, (width + 1) // 2, out
    return layers + init_dense((height * width * into, num_outputs), key)


def apply_conv(
    params: list[dict[str, Array]], z: Images, gamma: Float[Array, ""], categorical: Bool[Array, " o"]
) -> Float[Array, "b o"]:
    """Convolutions as matrix products: under `vmap` batched ones, not grouped convolutions.

    A window of 4x4 is four blocks of 2x2, and its product with the weights is the sum of theirs. For few channels the
    four blocks are concatenated first, at four times the memory.
    """
    h = z
    for layer in params[:-1]:
        rows, columns = ((size + 1) // 2 for size in h.shape[1:3])
        over = (2 * rows - h.shape[1], 2 * columns - h.shape[2])
        blocks = blocks_of_2x2(jnp.pad(h, ((0, 0), (1, 1 + over[0]), (1, 1 + over[1]), (0, 0))))
        parts = [blocks[:, i : i + rows, j : j + columns] for i in (0, 1) for j in (0, 1)]
        if h.shape[-1] < FEW_CHANNELS:
            parts = [jnp.concatenate(parts, axis=-1)]
        weights = blocks_of_2x2(layer["weights"].reshape(1, 4, 4, -1)).reshape(len(parts), parts[0].shape[-1], -1)
        flat = sum(part.reshape(-1, part.shape[-1]) @ own for part, own in zip(parts, weights, strict=True))
        h = jax.nn.relu(flat + layer["bias"]).reshape(-1, rows, columns, flat.shape[-1])
    return apply_mlp(params[-1:], h, gamma, categorical)


def blocks_of_2x2(h: Float[Array, "b r c k"]) -> Float[Array, "b r/2 c/2 4*k"]:
    """The four pixels of each block as channels."""
    b, rows, columns, k = h.shape
    return h.reshape(b, rows // 2, 2, columns // 2, 2, k).swapaxes(2, 3).reshape(b, rows // 2, columns // 2, 4 * k)


OF_FILTERS = ("num_templates", "window", "num_examples")
NETS = {
    "linear": NetKind(make_dense, ()),
    "mlp": NetKind(make_dense, ("hidden",)),
    "conv": NetKind(make_conv, ("hidden",)),
    "matched": NetKind(make_filters(init_matched, apply_matched), OF_FILTERS),
    "matched_statistics": NetKind(make_filters(init_matched_statistics, apply_matched_statistics), OF_FILTERS),
}


def reads_sprites(name: str) -> bool:
    """Whether a net starts from labelled examples of sprites."""
    return "num_examples" in NETS[name].takes
