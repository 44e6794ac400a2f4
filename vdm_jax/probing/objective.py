"""Outputs, losses and gradients of the members of one timestep for a batch, of all at once or in turn."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from vdm_jax.probing.batching import Batching, in_turn
from vdm_jax.probing.example_sources import Classes, Images
from vdm_jax.probing.heads import Members
from vdm_jax.probing.nets import Net

BatchOfSeed = tuple[Float[Array, "s b ..."], dict[str, Int[Array, "s b"]]]  # (z, classes) for each seed


@dataclass(frozen=True)
class Objective:
    """Pure functions of the members' parameters [K, ...] at one gamma; `how.members` maps over the K members."""

    net: Net
    members: Members
    how: Batching

    def outputs(self, params: PyTree, z: Images, gamma: Float[Array, ""]) -> Float[Array, "k b o"]:
        """The outputs of every member for the same z."""

        def of_member(params, categorical):
            return self.net.apply(params, z, gamma, categorical)

        return self.how.members(of_member)(params, jnp.asarray(self.members.categorical))

    def losses(self, params: PyTree, z: Images, classes: Classes, gamma: Float[Array, ""]) -> Float[Array, "k b"]:
        """The loss of every member and each example of the same batch."""
        return self.members.losses(self.outputs(params, z, gamma), classes)

    def gradients(
        self, params: PyTree, stopped: Bool[Array, " k"], batches: BatchOfSeed, gamma: Float[Array, ""]
    ) -> PyTree:
        """The gradient of each member's mean loss of its seed's batch. In turn, stopped members have none."""
        if self.how.members is not in_turn:
            return jax.grad(lambda params: self._losses_by_seed(params, batches, gamma).mean(axis=1).sum())(params)

        def of_member(params, stopped, member):
            gradient = jax.grad(lambda params: self._loss(params, member, batches, gamma).mean())
            return jax.lax.cond(stopped, partial(jax.tree.map, jnp.zeros_like), gradient, params)

        return self.how.members(of_member)(params, stopped, jnp.arange(len(stopped)))

    def residuals(self, params: PyTree, batches: BatchOfSeed, gamma: Float[Array, ""]) -> PyTree:
        """The residuals that a backward pass keeps at a time: of one member in turn, or of all."""
        if self.how.members is not in_turn:
            return jax.vjp(lambda params: self._losses_by_seed(params, batches, gamma), params)[1]
        first = jax.tree.map(lambda leaf: leaf[0], params)
        return batches, jax.vjp(lambda params: self._loss(params, jnp.int32(0), batches, gamma), first)[1]

    def _losses_by_seed(self, params: PyTree, batches: BatchOfSeed, gamma: Float[Array, ""]) -> Float[Array, "k b"]:
        seeds = len(self.members.seeds)
        if seeds == 1:  # members share z; a vmap over one seed would compute its windows for each member
            return self.losses(params, *jax.tree.map(lambda leaf: leaf[0], batches), gamma)
        one = replace(self, members=replace(self.members, seeds=(0,)))
        by_seed = jax.tree.map(lambda leaf: leaf.reshape(-1, seeds, *leaf.shape[1:]), params)
        losses = jax.vmap(partial(one.losses, gamma=gamma), (1, 0, 0), 1)(by_seed, *batches)
        return losses.reshape(-1, losses.shape[-1])

    def _loss(
        self, params: PyTree, member: Int[Array, ""], batches: BatchOfSeed, gamma: Float[Array, ""]
    ) -> Float[Array, " b"]:
        """The loss of one member and each example of its seed's batch."""
        z, classes = jax.tree.map(lambda leaf: leaf[member % len(self.members.seeds)], batches)
        outputs = self.net.apply(params, z, gamma, jnp.asarray(self.members.categorical)[member])
        return self.members.loss(member, outputs, classes)
