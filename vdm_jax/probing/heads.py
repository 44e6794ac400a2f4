"""Heads: the outputs and the loss of a probe of one feature, and the layout of the outputs of several features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vdm_jax.base.errors import choose
from vdm_jax.diffusion.posterior import Feature, score
from vdm_jax.diffusion.rows import product

TARGETS = {"values": False, "classes": True}  # whether features with values are classified too
MEMBERS = ("separate", "trunk")

Classes = Mapping[str, Int[Array, " b"]]


@dataclass(frozen=True)
class Head:
    """The prediction of one feature: of its class, by cross-entropy, or of its value, by squared error.

    A scalar has one value, an angle two: (cos kθ, sin kθ), k the symmetry of the shape. A loss is relative to the
    baseline, 1 for predicting the prior and 0 for a perfect prediction, so that features weigh alike on one trunk.
    """

    feature: Feature
    categorical: bool

    @property
    def size(self) -> int:
        """The number of outputs."""
        return len(self.feature.prior) if self.categorical else self.feature.values.shape[1]

    @property
    def mean(self) -> Float[np.ndarray, " k"]:
        """The prior mean of the values."""
        return (self.feature.prior @ self.feature.values).astype(np.float32)

    def targets(self, classes: Int[Array, " b"]) -> Float[Array, "b o"]:
        """One-hot classes, or standardised values."""
        if self.categorical:
            return jax.nn.one_hot(classes, self.size)
        values = (self.feature.values - self.mean) / np.sqrt(self.feature.variance)
        return jnp.asarray(values, jnp.float32)[classes]

    def loss(self, outputs: Float[Array, "... b o"], classes: Int[Array, " b"]) -> Float[Array, "... b"]:
        """-log p(class)/H, outputs logits; or ||outputs - (value - mean)/√variance||², outputs standardised."""
        if self.categorical:
            return self.cross_entropy(outputs, classes) / self.feature.entropy
        wanted = self.targets(classes)
        return jnp.sum((outputs - wanted.reshape((1,) * (outputs.ndim - 2) + wanted.shape)) ** 2, axis=-1)

    def cross_entropy(self, outputs: Float[Array, "... b o"], classes: Int[Array, " b"]) -> Float[Array, "... b"]:
        """-log p(class), nats."""
        index = classes.reshape((1,) * (outputs.ndim - 2) + (-1, 1))
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs), index, axis=-1)[..., 0]

    def scores(self, outputs: Float[Array, "... b o"], classes: Int[Array, " b"]) -> dict[str, Float[Array, "... b"]]:
        """The scores of each example.

        `accuracy`: 0 or 1, of classes. `cross_entropy`: of classes, nats. `mse`: of values, in their unit squared and
        summed over components; a classifier predicts the mean value of its class probabilities. `spread`: the baseline
        of `mse`, the squared error of predicting the prior mean.
        """
        spread = {}
        if self.feature.values is not None:
            apart = jnp.asarray(((self.feature.values - self.mean) ** 2).sum(1), jnp.float32)[classes]
            spread = {"spread": jnp.broadcast_to(apart, outputs.shape[:-1])}
        if not self.categorical:
            return {"mse": self.feature.variance * self.loss(outputs, classes)} | spread
        right = outputs.argmax(-1) == classes.reshape((1,) * (outputs.ndim - 2) + (-1,))
        found = {"accuracy": right.astype(jnp.float32), "cross_entropy": self.cross_entropy(outputs, classes)}
        if self.feature.values is not None:
            values = jnp.asarray(self.feature.values, jnp.float32)
            wanted = values[classes].reshape((1,) * (outputs.ndim - 2) + (classes.shape[0], -1))
            found["mse"] = jnp.sum((product(jax.nn.softmax(outputs), values) - wanted) ** 2, axis=-1)
        return found | spread

    def judge(self, outputs: Float[Array, "... b o"], p: Float[Array, "b c"]) -> dict[str, Float[Array, "... b"]]:
        """The expected scores of each example under the exact p(c | z), and their gaps to the best possible scores.

        `accuracy`, `cross_entropy` and `mse` are expectations of `scores` over the class. The gaps are
        `accuracy_missed` = max p - p(prediction), `information_nats_missed` = KL from p, and `r2_missed` =
        ||prediction - E[v|z]||² as a part of the variance. They are never negative and do not depend on which class was
        drawn.
        """
        known = score(self.feature, p)
        lead = (1,) * (outputs.ndim - 2)
        found = {}
        if self.categorical:
            q, guess = jax.nn.log_softmax(outputs), outputs.argmax(-1, keepdims=True)
            cross_entropy = -jnp.sum(p.reshape(lead + p.shape) * q, axis=-1)
            right = jnp.take_along_axis(jnp.broadcast_to(p.reshape(lead + p.shape), q.shape), guess, axis=-1)[..., 0]
            found = {
                "accuracy": right,
                "accuracy_missed": known.accuracy.reshape((*lead, -1)) - right,
                "cross_entropy": cross_entropy,
                "information_nats_missed": cross_entropy - known.entropy.reshape((*lead, -1)),
            }
        if self.feature.values is not None:
            values = jnp.asarray(self.feature.values, jnp.float32)
            guess = product(jax.nn.softmax(outputs), values) if self.categorical else self.predict(outputs)
            excess = jnp.sum((guess - product(p, values).reshape((*lead, p.shape[0], -1))) ** 2, axis=-1)
            mse = known.mmse.reshape((*lead, -1)) + excess
            found |= {"mse": mse, "r2_missed": excess / self.feature.variance}
        return found

    def predict(self, outputs: Float[Array, "... b o"]) -> Float[Array, "... b o"]:
        """The probabilities of the classes, or the values in their own unit."""
        if self.categorical:
            return jax.nn.softmax(outputs)
        mean = jnp.asarray(self.mean).reshape((1,) * (outputs.ndim - 1) + (-1,))
        return mean + self._deviation * outputs

    @property
    def _deviation(self) -> float:
        return float(np.sqrt(self.feature.variance))


def make_heads(features: Mapping[str, Feature], targets: str) -> dict[str, Head]:
    """targets: "values" regresses features with values; "classes" classifies all features."""
    categorical = choose("targets", targets, TARGETS)
    return {name: Head(feature, categorical or feature.values is None) for name, feature in features.items()}


@dataclass(frozen=True)
class Members:
    """The K probes of a timestep: for each group of features one net a seed, with a head for each feature.

    The outputs of a group are consecutive. Every net has as many outputs as the widest group needs; others leave the
    rest unused.
    """

    heads: Mapping[str, Head]
    groups: tuple[tuple[str, ...], ...]
    seeds: tuple[int, ...]

    @property
    def names(self) -> list[str]:
        """ "FEATURE+FEATURE/SEED", groups first: the names that the members' random numbers are derived from."""
        return [f"{'+'.join(group)}/{seed}" for group in self.groups for seed in self.seeds]

    @property
    def num_outputs(self) -> int:
        """The number of outputs of every net."""
        return max(sum(self.heads[name].size for name in group) for group in self.groups)

    @property
    def categorical(self) -> Bool[np.ndarray, "k o"]:
        """Which outputs are logits of classes."""
        rows = np.zeros((len(self.groups), self.num_outputs), bool)
        for row, group in zip(rows, self.groups, strict=True):
            for name, place in self._places(group).items():
                row[place] = self.heads[name].categorical
        return np.repeat(rows, len(self.seeds), axis=0)

    def losses(self, outputs: Float[Array, "k b o"], classes: Classes) -> Float[Array, "k b"]:
        """The loss of each member, the mean over its features."""
        by_group = zip(self.groups, self._by_group(outputs), strict=True)
        return jnp.concatenate([self._group_loss(group, own, classes) for group, own in by_group])

    def loss(self, member: Int[Array, ""], outputs: Float[Array, "b o"], classes: Classes) -> Float[Array, " b"]:
        """The loss of one member, by its number."""
        losses = [partial(self._group_loss, group) for group in self.groups]
        return jax.lax.switch(member // len(self.seeds), losses, outputs, dict(classes))

    def _group_loss(
        self, group: tuple[str, ...], outputs: Float[Array, "... b o"], classes: Classes
    ) -> Float[Array, "... b"]:
        places = self._places(group)
        each = [self.heads[name].loss(outputs[..., place], classes[name]) for name, place in places.items()]
        return sum(each) / len(each)

    def targets(self, classes: Classes) -> Float[Array, "k b o"]:
        """The outputs wanted of each member; 0 where they are unused."""
        rows = []
        for group in self.groups:
            own = jnp.concatenate([self.heads[name].targets(classes[name]) for name in group], axis=1)
            rows.append(jnp.pad(own, ((0, 0), (0, self.num_outputs - own.shape[1]))))
        return jnp.repeat(jnp.stack(rows), len(self.seeds), axis=0)

    def scores(self, outputs: Float[Array, "k b o"], classes: Classes) -> dict[str, dict[str, Float[Array, "s b"]]]:
        """{feature: {score: [S, B]}}, by seed: `Head.scores`."""
        return {name: self.heads[name].scores(own, classes[name]) for name, own in self._by_feature(outputs).items()}

    def judge(
        self, outputs: Float[Array, "k b o"], p: Mapping[str, Float[Array, "b _"]]
    ) -> dict[str, dict[str, Float[Array, "s b"]]]:
        """{feature: {score: [S, B]}}, by seed: `Head.judge` with the exact p(c | z) of each feature."""
        return {name: self.heads[name].judge(own, p[name]) for name, own in self._by_feature(outputs).items()}

    def predict(self, outputs: Float[Array, "k b o"]) -> dict[str, Float[Array, "s b _"]]:
        """`Head.predict` of each feature by seed."""
        return {name: self.heads[name].predict(own) for name, own in self._by_feature(outputs).items()}

    def _by_feature(self, outputs: Float[Array, "k b o"]) -> dict[str, Float[Array, "s b _"]]:
        found = {}
        for own, group in zip(self._by_group(outputs), self.groups, strict=True):
            found |= {name: own[..., place] for name, place in self._places(group).items()}
        return found

    def _by_group(self, outputs: Float[Array, "k b o"]) -> Float[Array, "g s b o"]:
        return outputs.reshape(len(self.groups), len(self.seeds), *outputs.shape[1:])

    def _places(self, group: tuple[str, ...]) -> dict[str, slice]:
        ends = np.cumsum([self.heads[name].size for name in group]).tolist()
        return {name: slice(end - self.heads[name].size, end) for name, end in zip(group, ends, strict=True)}


def make_members(heads: Mapping[str, Head], members: str, seeds: Sequence[int]) -> Members:
    """members: "separate", a net a feature; "trunk", one net for all."""
    choose("members", members, dict.fromkeys(MEMBERS))
    names = tuple(heads)
    groups = tuple((name,) for name in names) if members == "separate" else (names,)
    return Members(dict(heads), groups, tuple(seeds))
