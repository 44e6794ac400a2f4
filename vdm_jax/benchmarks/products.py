"""The FLOPs of the matrix products and convolutions of a program, with the iterations of its loops."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.interpreters.partial_eval import dce_jaxpr


def product_flops(jaxpr: Jaxpr | ClosedJaxpr) -> int:
    """FLOPs of all products: two for each multiplication and addition.

    Of branches for different back ends the default branch counts on all back ends, so that values computed again to
    save memory do not count. Of other branches the largest counts. Products with padding do not count.

    Raises:
        ValueError: there is a product in a loop of unknown length.
    """
    jaxpr = jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return sum(map(_flops, needed.eqns))


def _flops(eqn: JaxprEqn) -> int:
    name, inner = eqn.primitive.name, [product_flops(jaxpr) for jaxpr in _jaxprs(eqn.params)]
    if name == "dot_general":
        ((contracted, _), _) = eqn.params["dimension_numbers"]
        left = eqn.invars[0].aval.shape
        return 2 * math.prod(eqn.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        return _convolution_flops(eqn)
    if name == "while" and sum(inner):
        raise ValueError("products in a loop of unknown length cannot be counted; use a scan")
    if name == "cond":
        platforms = eqn.params.get("branches_platforms") or ()
        return inner[platforms.index(None)] if None in platforms else max(inner)
    if name == "shard_map":
        return eqn.params["mesh"].size * sum(inner)
    return eqn.params["length"] * sum(inner) if name == "scan" else sum(inner)


def _jaxprs(params: dict[str, Any]) -> Iterator[Jaxpr | ClosedJaxpr]:
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, Jaxpr | ClosedJaxpr):
                yield one


def _convolution_flops(eqn: JaxprEqn) -> int:
    numbers = eqn.params["dimension_numbers"]
    image, kernel, out = (var.aval.shape for var in (*eqn.invars, *eqn.outvars))
    taps = math.prod(
        _taps(image[i], kernel[k], out[o], stride, low, image_dilation, kernel_dilation)
        for i, k, o, stride, (low, _), image_dilation, kernel_dilation in zip(
            numbers.lhs_spec[2:],
            numbers.rhs_spec[2:],
            numbers.out_spec[2:],
            eqn.params["window_strides"],
            eqn.params["padding"],
            eqn.params["lhs_dilation"],
            eqn.params["rhs_dilation"],
            strict=True,
        )
    )
    batch, channels = (out[axis] for axis in numbers.out_spec[:2])
    return 2 * batch * channels * kernel[numbers.rhs_spec[1]] * taps


def _taps(image: int, kernel: int, out: int, stride: int, low: int, image_dilation: int, kernel_dilation: int) -> int:
    """The number of pairs (output position, kernel tap) that read a value of the image along one axis."""
    at = np.arange(out)[:, None] * stride + np.arange(kernel) * kernel_dilation - low
    return int(np.sum((at >= 0) & (at <= (image - 1) * image_dilation) & (at % image_dilation == 0)))
