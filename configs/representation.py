"""Codes of diffusion models on 8x8 digits: DRL, VDRL and the VAE-VDM, on the same networks, images and noise.

DRL (Abstreiter et al. 2021) trains the code by the error of the score alone, VDRL adds its rate, and the VAE-VDM is
trained by the bound. Variants:

    drl, drl-uniform, drl-bound     E(x); lambda(t) = ½ sigma², ½, and the bound's
    drl-low, drl-high               E(x), trained on the noise of log SNR below 0 alone, and from 0 on
    drl-time                        E(x, t), a code for each time
    vdrl, vdrl-target, vdrl-learned a noisy E(x), the bound's lambda: J + R; R held at 10 nats; R under a learned prior
    vdrl-simple                     as vdrl-target, with lambda(t) = ½ sigma²
    vdrl-time                       a noisy E(x, t)
    labels                          no code, but the label: class-conditional diffusion, guided when it samples
    vae_vdm, target, unconditional  as in configs/digits.py: beta1, target, unconditional

`quick-NAME` is the same with 200 updates, which is far from converged. The sweep: `quick-drl`, `quick-drl-time`,
`quick-vdrl`, `quick-vdrl-simple`, `quick-vae_vdm`, `quick-unconditional`, and each variant with three seeds. A pattern
chooses from it: `--sweep='quick-*'` is the quick table.
"""

from vdm_jax.configs.digits import DIGITS
from vdm_jax.configs.digits import VARIANTS as MODES
from vdm_jax.configs.digits import get_config as get_digits_config

from vdm_jax.base.errors import choose

SCORE = {"diffusion.loss": "conditional_score", "diffusion.weighting": "simple"}
DRL = SCORE | {"model.deterministic": True, "rate.mode": "none"}
VDRL = SCORE | {"diffusion.weighting": "bound", "rate.mode": "fixed", "rate.beta": 1.0}
VARIANTS = {
    "drl": DRL,
    "drl-uniform": DRL | {"diffusion.weighting": "uniform"},
    "drl-bound": DRL | {"diffusion.weighting": "bound"},
    "drl-low": DRL | {"diffusion.band_high": 0.0},
    "drl-high": DRL | {"diffusion.band_low": 0.0},
    "drl-time": DRL | {"model.encoder_time": True},
    "vdrl": VDRL,
    "vdrl-target": VDRL | MODES["target"],
    "vdrl-simple": VDRL | MODES["target"] | {"diffusion.weighting": "simple"},
    "vdrl-learned": VDRL | MODES["learned_prior"],
    "vdrl-time": VDRL | {"model.encoder_time": True},
    "labels": SCORE | {"model.encoder": "none", "model.labels": True, "sample.guidance": 1.0},
    "vae_vdm": MODES["beta1"],
    "target": MODES["target"],
    "unconditional": MODES["unconditional"],
}
QUICK = {
    "train.num_steps": 200,
    "train.eval_every": 100,
    "train.checkpoint_every": 100,
    "evaluate.passes": 4,
    "evaluate.frechet_images": 300,
    "sample.num_steps": 50,
}
QUICK_TABLE = ("drl", "drl-time", "vdrl", "vdrl-simple", "vae_vdm", "unconditional")


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`, or `quick-` and one of them; `quick-drl` for `quick` or nothing."""
    variant = "quick-drl" if variant in ("", "quick") else variant
    start, _, rest = variant.partition("-")
    quick, name = (True, rest) if start == "quick" else (False, variant)
    config = get_digits_config()
    config.name = f"representation-{variant}"
    config.update_from_flattened_dict(DIGITS | {"rate.mode": "fixed"} | choose("variant", name, VARIANTS))
    config.update_from_flattened_dict(QUICK if quick else {})
    return config


def get_sweep():
    """The quick table, and every variant with the seeds 0, 1 and 2."""
    quick = [{"variant": f"quick-{name}", "train.seed": 0} for name in QUICK_TABLE]
    return quick + [{"variant": name, "train.seed": seed} for name in VARIANTS for seed in range(3)]
