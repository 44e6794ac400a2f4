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
    "bound − bound of N(0, I)": ("bound_minus_prior_nats",),
    "no sprite": ("not_a_sprite",),
    "kinds hit": ("modes", "kind", "num_hit"),
    "kinds hit by as many real images": ("modes", "kind", "num_hit_expected"),
    "p of kinds": ("modes", "kind", "p_value"),
    "p of kinds, same reader": ("modes", "kind", "p_value_same_reader"),
    "KL of kinds, nats": ("modes", "kind", "kl_nats"),
    "KL of kinds of as many real images": ("modes", "kind", "kl_expected_nats"),
    "kinds and places hit": ("modes", "kind and place", "num_hit"),
    "kinds and places hit by as many real images": ("modes", "kind and place", "num_hit_expected"),
    "KL of kinds and places": ("modes", "kind and place", "kl_nats"),
    "KL of kinds and places of as many real images": ("modes", "kind and place", "kl_expected_nats"),
    "Fréchet": ("frechet", "distance"),
    "real against real": ("frechet", "real_vs_real_floor"),
}
P_VALUES = ("p of kinds", "p of kinds, same reader")  # titles
EXPLAINED = (
    "Loss / linear: the squared error of ε or of x over all times, divided by that of the best linear denoiser on the "
    "same noisy latents; the Gaussian is that denoiser. The bound is on −log p(x) of an image through the decoder. "
    "No sprite: images that differ from the nearest sprite in too many pixels. Kinds: shape x scale x orientation, "
    "counted by the exact reader among the sprites; places: cells of a grid. p: the probability that as many images of "
    "the data are at least as uneven, all read by the nearest sprite or, same reader, samples and real images by one "
    "network. The row of latents of test images shows what the decoder makes of perfect latents."
)
