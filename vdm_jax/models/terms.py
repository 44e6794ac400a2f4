"""The terms of a bound by their names, and a function of one example as one of a batch."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Key

from vdm_jax.diffusion.likelihood import bits_per_dim
from vdm_jax.diffusion.objective import Terms


def metrics_of(terms: Terms, num_dims: int, rate: Float[Array, " b"] | None) -> dict[str, Float[Array, " b"]]:
    """The terms by name, the distortion D, the bound in nats and as `bpd`, [B] each.

    rate: R of the code, which is added to D. Without a code (None) there is no "rate" and the bound is D.
    """
    distortion = terms.reconstruction + terms.prior + terms.diffusion
    bound = distortion if rate is None else distortion + rate
    return {
        "distortion": distortion,
        **({} if rate is None else {"rate": rate}),
        "bound": bound,
        "bpd": bits_per_dim(bound, num_dims),
        "reconstruction": terms.reconstruction,
        "prior": terms.prior,
        "diffusion": terms.diffusion,
    }


def code_metrics(
    distortion: Float[Array, " b"] | None,
    rate: Float[Array, " b"] | None,
    squared_error: Float[Array, " b"],
    *,
    is_bound: bool,
    num_dims: int | None,
) -> dict[str, Float[Array, " b"]]:
    """The terms of an autoencoder by name, [B] each: D = -log p(x | u), nats; the squared error summed over an image;
    R of a noisy code; where `is_bound` D + R, also as bits per dimension.

    distortion: None where the decoder has no trained likelihood. rate: None of a code without noise. num_dims: values
    of an image; None where D is a density, whose nats are no bits of the image.
    """
    found = {"squared_error": squared_error} | ({} if distortion is None else {"distortion": distortion})
    if rate is None:
        return found
    bound = {"bound": distortion + rate} if is_bound else {}
    bits = {"bpd": bits_per_dim(bound["bound"], num_dims)} if bound and num_dims else {}
    return found | {"rate": rate} | bound | bits


def one_by_one(one: Callable[..., dict[str, Array]], keys: Key[Array, " b"], *arrays: Array) -> dict[str, Array]:
    """`one(key, *slices [1, ...]) -> {name: [1, ...]}` over the examples, each with its own key."""

    def single(key, *values):
        return jax.tree.map(lambda leaf: leaf[0], one(key, *(value[None] for value in values)))

    return jax.vmap(single)(keys, *arrays)
