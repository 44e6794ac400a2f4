"""The reconstruction loss of a KL-VAE (Rombach et al. 2022): L1 or L2, features, and a discriminator of patches.

Decoder and discriminator are trained by one gradient: the loss of each stops the gradient of the other's parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from vdm_jax.base.errors import choose
from vdm_jax.diffusion.gaussian import sum_values
from vdm_jax.networks.network import Network

X = Float[Array, "b h w c"]
DISTANCES = {
    "l1": lambda x, x_hat: sum_values(jnp.abs(x - x_hat)),
    "l2": lambda x, x_hat: sum_values((x - x_hat) ** 2),
}
SMALL, LARGEST_WEIGHT = 1e-4, 1e4  # of the adaptive weight, as in VQGAN's code


@dataclass(frozen=True, eq=False)
class ReconstructionLoss:
    """What is minimised in place of -log p(x | u).

    distance: one of `DISTANCES`, summed over the values. perceptual: weight of the squared distance of features.
    features: (params, x) -> [B, F]; its parameters, `feature_params`, are not trained. discriminator: a network with
    logits, or None. weight: of its loss before adaptation. start: the update from which it is trained and counts.
    """

    distance: str
    perceptual: float = 0.0
    features: Callable[[PyTree, X], Float[Array, "b f"]] | None = None
    feature_params: PyTree = None
    discriminator: Network | None = None
    weight: float = 0.0
    start: int = 0

    def __post_init__(self) -> None:
        choose("reconstruction.loss", self.distance, DISTANCES)

    def compare(self, feature_params: PyTree, x: X, x_hat: X) -> Float[Array, " b"]:
        """Distance of pixels + perceptual · ||f(x) - f(x_hat)||², [B]."""
        found = DISTANCES[self.distance](x, x_hat)
        if self.features is None or not self.perceptual:
            return found
        difference = self.features(feature_params, x) - self.features(feature_params, x_hat)
        return found + self.perceptual * jnp.sum(difference**2, axis=1)

    def fooling(self, params: PyTree, x_hat: X) -> Float[Array, " b"]:
        """-D(x_hat), the mean over the patches, with a discriminator that is held fixed, [B]."""
        logits = self.discriminator.apply(jax.lax.stop_gradient(params), x_hat)
        return -logits.mean(axis=(1, 2))

    def discriminating(self, params: PyTree, x: X, x_hat: X) -> Float[Array, " b"]:
        """The hinge loss ½ [max(0, 1 - D(x)) + max(0, 1 + D(x_hat))] of the discriminator, [B]."""
        real = self.discriminator.apply(params, x)
        made = self.discriminator.apply(params, jax.lax.stop_gradient(x_hat))
        return 0.5 * (jax.nn.relu(1 - real) + jax.nn.relu(1 + made)).mean(axis=(1, 2))

    def loss(
        self,
        player: PyTree,
        features: PyTree,
        x: X,
        x_hat: X,
        made: Callable[[PyTree], X],
        last: PyTree,
        step: int | Int[Array, ""],
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """`compare` + weight · adaptive weight · `fooling` + `discriminating`, [B], the last two from `start` on; and
        these as metrics.

        player, features: parameters of the discriminator and of the features, None for none. made: x_hat as a function
        of the decoder's last layer, whose parameters are `last`.
        """
        compared = self.compare(features, x, x_hat)
        if self.discriminator is None:
            return compared, {"compared": compared}
        adapted = adaptive_weight(
            lambda own: self.compare(features, x, made(own)), lambda own: self.fooling(player, made(own)), last
        )
        fooling, discriminating = self.fooling(player, x_hat), self.discriminating(player, x, x_hat)
        begun = self.begun(step)
        found = {"compared": compared, "fooling": fooling, "discriminator": discriminating, "adaptive_weight": adapted}
        return compared + self.weight * adapted * begun * fooling + begun * discriminating, found

    def begun(self, step: int | Int[Array, ""]) -> Float[Array, ""]:
        """1 from the update `start` on, 0 before."""
        return (jnp.asarray(step) >= self.start).astype(jnp.float32)


def adaptive_weight(
    compared: Callable[[PyTree], Float[Array, " b"]], fooling: Callable[[PyTree], Float[Array, " b"]], last: PyTree
) -> Float[Array, ""]:
    """||∇ mean(compared)|| / (||∇ mean(fooling)|| + 1e-4) by the parameters `last` of the decoder's last layer, at most
    1e4 (Esser et al. 2021, eq. 7). No gradient passes through it."""
    norms = [_norm(jax.grad(lambda p, of=of: of(p).mean())(last)) for of in (compared, fooling)]
    return jax.lax.stop_gradient(jnp.clip(norms[0] / (norms[1] + SMALL), 0.0, LARGEST_WEIGHT))


def _norm(tree: PyTree) -> Float[Array, ""]:
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))
