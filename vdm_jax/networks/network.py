"""A network as a pair of pure functions: nothing outside `networks/` sees flax."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Network(NamedTuple):
    """`params = init(key)`, a plain nested dict of float32 arrays; `apply(params, *inputs, ...)`.

    Both are pure, so stacks of networks come from `jax.vmap(network.init)` and `jax.vmap(network.apply)`. Where a
    network has dropout, `apply` takes `key=`: a key switches dropout on, `None` (the default) off.
    """

    init: Callable[..., Any]
    apply: Callable[..., Any]
