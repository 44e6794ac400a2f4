"""The rows and the columns of the table of models of latents in evaluate.json, for pages and comparisons."""

from vdm_jax.report.primitives.workdir import Place

TABLE = "table"
MODELS = {
    "trained": "latent diffusion",
    "untrained": "untrained network",
    "prior": "N(0, I)",
    "gaussian": "Gaussian with the latents' moments",
    "mixture": "mixture of Gaussians",
    "codes": "latents of test images",
}
COLUMNS: dict[str, Place] = {
    "ε loss / linear": ("eps", "over_linear"),
    "x loss / linear": ("x", "over_linear"),
    "bound, nats": ("bound_nats",),
    "minus that of N(0, I)": ("bound_minus_prior_nats",),
    "no sprite": ("not_a_sprite",),
    "kinds hit": ("modes", "kind", "num_hit"),
    "by as many data": ("modes", "kind", "num_hit_expected"),
    "p, kinds": ("modes", "kind", "p_value"),
    "p, kind and place": ("modes", "kind and place", "p_value"),
    "KL of kinds, nats": ("modes", "kind", "kl_nats"),
    "KL of as many data": ("modes", "kind", "kl_expected_nats"),
    "Fréchet": ("frechet", "distance"),
    "real against real": ("frechet", "real_vs_real_floor"),
}
P_VALUES = ("p, kinds", "p, kind and place")  # titles
EXPLAINED = (
    "Loss / linear: the squared error of ε or of x over all times, divided by that of the best linear denoiser on the "
    "same noisy latents; the Gaussian is that denoiser. The bound is on −log p(x) of an image through the decoder. "
    "No sprite: images that differ from the nearest sprite in too many pixels. Kinds: shape x scale x orientation, "
    "counted by the exact reader among the sprites. p: the probability that as many images of the data are at least "
    "as uneven. The row of latents of test images shows what the decoder makes of perfect latents."
)
