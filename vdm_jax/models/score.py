"""Score models: noise-conditional networks (NCSN) and their single-level kin, as settings of a diffusion model.

The network predicts eps_hat of z_t on a table of noise levels; the score of y = z_t/alpha_t = x + sigma eps is
-eps_hat/sigma. So a score model has a bound and every sampler of a diffusion model, and a DDPM has a score.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.score_matching.objectives import MATCHINGS, Score, exploding_score_of, matching_losses
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.models.diffusion import DiffusionModel


@dataclass(frozen=True, eq=False)
class ScoreModel(DiffusionModel):
    """A diffusion model without a code that is trained by an objective of score matching.

    matching: one of `MATCHINGS`. With "denoising" the loss is half of NCSN's E||sigma s(x + sigma eps, sigma) + eps||²,
    averaged over the levels, times 2/D.
    """

    matching: str = "denoising"

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("matching", self.matching, MATCHINGS)

    def describe_objective(self) -> str:
        """What is minimised, in words."""
        if self.matching == "denoising":
            return super().describe_objective()
        return f"{self.matching} score matching in units of ||eps - eps_hat||²/D, not a bound on -log p(x)"

    def loss_fn(
        self, params: PyTree, carry: PyTree, batch: dict[str, Array], key: Key[Array, ""], step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """The objective, [B], in units of ||eps - eps_hat||²/D. batch: "levels"."""
        if self.matching == "denoising":
            return super().loss_fn(params, carry, batch, key, step)
        x = self.to_x(batch["levels"])
        t = self.in_chain(stratified_times(named_key(key, "times"), len(x)))
        denoise = self.denoise(params, key=named_key(key, "unet_dropout"))
        return matching_losses(named_key(key, "noise"), x, denoise, self.schedule(params), t, self.matching), {}

    def score(self, params: PyTree, t: Float[Array, " b"]) -> Score:
        """∇ log p_sigma(y) at y = x + sigma eps, [B, *shape], with the noise levels of the times t."""
        return exploding_score_of(self.denoise(params), self.schedule(params), t)
