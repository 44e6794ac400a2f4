"""A network as a pair of pure functions: nothing outside `models/` sees flax."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Model(NamedTuple):
    """`params = init(key)`, a plain nested dict of float32 arrays; `apply(params, *inputs, ...)`.

    Both are pure, so stacks of models come from `jax.vmap(model.init)` and `jax.vmap(model.apply)`. Where a network
    has dropout, `apply` takes `key=`: a key switches dropout on, `None` (the default) off.
    """

    init: Callable[..., Any]
    apply: Callable[..., Any]
