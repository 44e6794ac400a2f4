"""Trees of arrays as one vector: an update is a few operations instead of a dozen for each of a hundred arrays."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree


@dataclass(frozen=True)
class Layout:
    """Where the leaves of a tree of one dtype lie in a vector of N numbers, one after the other."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]

    def ravel(self, tree: PyTree) -> Array:
        """The leaves in a row, [N]."""
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    def unravel(self, vector: Array) -> PyTree:
        """The inverse of `ravel`."""
        leaves = jnp.split(vector, np.cumsum(self.sizes)[:-1].tolist())
        leaves = [leaf.reshape(shape) for leaf, shape in zip(leaves, self.shapes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def spread(self, values: PyTree) -> bool | Bool[Array, " n"]:
        """One truth value a leaf as one an element; the value itself where all are equal."""
        values = jax.tree.leaves(values)
        if len(set(values)) == 1:
            return values[0]
        return jnp.concatenate([jnp.full(size, value) for size, value in zip(self.sizes, values, strict=True)])

    def holds(self, tree: PyTree) -> bool:
        """Whether a tree has this structure and these shapes."""
        if jax.tree.structure(tree) != self.structure:
            return False
        return tuple(np.shape(leaf) for leaf in jax.tree.leaves(tree)) == self.shapes

    @property
    def sizes(self) -> list[int]:
        """Numbers of each leaf."""
        return [math.prod(shape) for shape in self.shapes]


def layout_of(tree: PyTree) -> Layout | None:
    """The layout of a tree; None for one without leaves or of several dtypes, which no vector can hold."""
    leaves, structure = jax.tree.flatten(tree)
    if len({np.dtype(leaf.dtype) for leaf in leaves}) != 1:
        return None
    return Layout(structure, tuple(leaf.shape for leaf in leaves))


def ravel_parts(layout: Layout, tree: PyTree) -> PyTree:
    """`tree` with a vector in place of each subtree that `layout` holds, such as both moments of Adam.

    On the host, as `unravel_parts`: a program with a hundred inputs or outputs takes seconds to compile.
    """

    def ravel(part: PyTree) -> Array:
        leaves = jax.tree.leaves(part)
        return jax.device_put(np.concatenate([np.ravel(leaf) for leaf in leaves]), leaves[0].sharding)

    return _map_parts(ravel, layout.holds, tree)


def unravel_parts(layout: Layout, tree: PyTree) -> PyTree:
    """The inverse of `ravel_parts`."""

    def unravel(vector: Array) -> PyTree:
        ends = np.cumsum(layout.sizes)[:-1]
        leaves = np.split(np.array(vector), ends)  # of a copy: a step may take the memory of the vector
        shaped = [leaf.reshape(shape) for leaf, shape in zip(leaves, layout.shapes, strict=True)]
        return jax.device_put(jax.tree.unflatten(layout.structure, shaped), vector.sharding)

    return _map_parts(unravel, lambda part: getattr(part, "shape", None) == (sum(layout.sizes),), tree)


def _map_parts(change: Callable[[Any], Any], is_part: Callable[[Any], bool], tree: PyTree) -> PyTree:
    return jax.tree.map(lambda part: change(part) if is_part(part) else part, tree, is_leaf=is_part)
