"""Vector quantisation (van den Oord et al. 2017): a code is the nearest rows of a codebook.

The gradient of the decoder passes through the quantisation unchanged. The codebook follows the encodings by moving
averages, or by gradients. Rows that are hardly used start again at encodings of the batch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.errors import choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import sum_values
from vdm_jax.diffusion.rows import product

Latents = Float[Array, "b ..."]
Codes = Float[Array, "k d"]
UPDATES = {"ema": "moving averages of the encodings", "gradient": "gradients of their distance to the codes"}
SMOOTHING = 1e-5  # uses that every code of a moving average has besides its own


class Quantised(NamedTuple):
    """u: the codes, [B, …, D], with the gradient of z. index: their rows, [B, …]. loss: [B]. metrics: [] each.

    for_update: what `VectorQuantiser.update` needs of the batch: "statistics", {"uses" [B, K], "sums" [B, K, D]}, whose
    means over the batch it takes, and "draws", {"candidates" [K, D]}; {} where the codebook has gradients.
    """

    u: Latents
    index: Int[Array, "b ..."]
    loss: Float[Array, " b"]
    metrics: dict[str, Float[Array, ""]]
    for_update: dict[str, dict[str, Array]]


@dataclass(frozen=True)
class VectorQuantiser:
    """A codebook of `num_codes` rows of `dim` numbers, the last axis of the latents.

    commitment: weight of the encoder's squared distance to its code. decay: of the moving averages. restart_below: a
    row with less than this times the mean use 1/K starts again (of "ema"); 0: none does.
    """

    num_codes: int
    dim: int
    by: str = "ema"
    commitment: float = 0.25
    decay: float = 0.99
    restart_below: float = 0.01

    def __post_init__(self) -> None:
        choose("quantiser.codebook", self.by, UPDATES)

    def init_params(self, key: Key[Array, ""]) -> PyTree:
        """{"codes": [K, D]} of a codebook with gradients; {} otherwise."""
        return {"codes": self._first(key)} if self.by == "gradient" else {}

    def init_carry(self, key: Key[Array, ""]) -> PyTree:
        """{"codes" [K, D], "uses" [K], "sums" [K, D]} of moving averages; {} otherwise."""
        if self.by == "gradient":
            return {}
        codes = self._first(key)
        uses = jnp.full(self.num_codes, 1.0 / self.num_codes)
        return {"codes": codes, "uses": uses, "sums": codes * uses[:, None]}

    def _first(self, key: Key[Array, ""]) -> Codes:
        return jax.random.normal(key, (self.num_codes, self.dim))

    def nearest(self, codes: Codes, z: Latents) -> Int[Array, "b ..."]:
        """The row of the nearest code of each vector of z, Euclidean."""
        rows = z.reshape(-1, self.dim)
        distances = jnp.sum(codes**2, axis=1)[None, :] - 2 * product(rows, codes.T)
        return jnp.argmin(distances, axis=1).reshape(z.shape[:-1])

    def quantise(self, key: Key[Array, ""], codes: Codes, z: Latents) -> Quantised:
        """z [B, …, D] by its nearest codes. loss: commitment ||z - sg(e)||², with gradients + ||sg(z) - e||²; sums over
        an example. perplexity: exp of the entropy of the rows in the batch; used_codes: their share of the codebook.
        """
        index = self.nearest(jax.lax.stop_gradient(codes), jax.lax.stop_gradient(z))
        chosen = codes[index]
        loss = self.commitment * sum_values((z - jax.lax.stop_gradient(chosen)) ** 2)
        if self.by == "gradient":
            loss = loss + sum_values((jax.lax.stop_gradient(z) - chosen) ** 2)
        is_row = jax.nn.one_hot(index.reshape(len(z), -1), self.num_codes)  # [B, P, K]
        counts = is_row.sum(axis=1)
        shares = counts.sum(axis=0) / counts.sum()
        metrics = {
            "perplexity": jnp.exp(-jnp.sum(shares * jnp.log(jnp.maximum(shares, 1e-20)))),
            "used_codes": jnp.mean((shares > 0).astype(jnp.float32)),
        }
        u = z + jax.lax.stop_gradient(chosen - z)
        return Quantised(u, index, loss, metrics, self._for_update(key, jax.lax.stop_gradient(z), is_row))

    def _for_update(self, key: Key[Array, ""], z: Latents, is_row: Float[Array, "b p k"]) -> dict[str, dict]:
        """Of each example the uses of the codes and the sums of their vectors, both divided by its places; for each
        code one encoding of the batch."""
        if self.by == "gradient":
            return {}
        rows = z.reshape(len(z), -1, self.dim)
        places = jax.random.randint(named_key(key, "restart"), (self.num_codes,), 0, rows.shape[0] * rows.shape[1])
        uses, sums = is_row.sum(axis=1), jnp.einsum("bpk,bpd->bkd", is_row, rows)
        return {
            "statistics": {"uses": uses / rows.shape[1], "sums": sums / rows.shape[1]},
            "draws": {"candidates": rows.reshape(-1, self.dim)[places]},
        }

    def update(self, carry: PyTree, means: dict[str, Array], draws: dict[str, Array]) -> PyTree:
        """The moving averages after a batch with these mean statistics: codes = sums / uses. Codes that are hardly used
        start again at their candidates, with the mean use 1/K."""
        if self.by == "gradient":
            return carry
        uses = self.decay * carry["uses"] + (1 - self.decay) * means["uses"]
        sums = self.decay * carry["sums"] + (1 - self.decay) * means["sums"]
        restarts = uses * self.num_codes < self.restart_below
        uses = jnp.where(restarts, 1.0 / self.num_codes, uses)
        sums = jnp.where(restarts[:, None], draws["candidates"] / self.num_codes, sums)
        smooth = (uses + SMOOTHING / self.num_codes) / (1 + SMOOTHING)
        codes = jnp.where(restarts[:, None], draws["candidates"], sums / smooth[:, None])
        return {"codes": codes, "uses": uses, "sums": sums}
