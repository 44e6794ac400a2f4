"""Codes of diffusion models: DRL, VDRL and the VAE-VDM, on the same networks, images (8x8 digits) and noise.

DRL (Abstreiter et al. 2021) trains the code by the error of the score alone, VDRL adds its rate, and the VAE-VDM is
trained by the bound. Variants:

    drl                             E(x), lambda(t) = ½ sigma²
    drl-uniform, drl-p2             E(x), lambda(t) = ½ at all t, for the least noise; ½ sigma⁴, for the most
    drl-low, drl-high               E(x), trained on the noise of log SNR below `split` alone, and from it on
    drl-time                        E(x, t), a code for each time
    vdrl-uniform, vdrl-p2           a noisy E(x), R held at the target of the data; lambda of drl-uniform and drl-p2
    vdrl-learned                    as vdrl-p2, R under a learned prior
    vdrl-time                       a noisy E(x, t), lambda(t) = ½ sigma², R held
    vdrl                            the bound's lambda, J + R
    labels                          no code, but the label: class-conditional diffusion, guided when it samples
    vae_vdm, target, unconditional  as in configs/digits.py: beta1, target, unconditional

The schedules here are linear in log SNR: gamma'(t) is one number, and the bound's lambda is ½ sigma² times it. `vdrl`
has the gradient of `vae_vdm`. With lambda(t) = ½ sigma² and the rate held a VDRL solves the problem of `target`. Hence
the VDRL that are compared with these two have another lambda.

`quick-NAME` is the same with 200 updates, which is far from converged. `sprites-NAME` is of the 768 sprites and the
networks of configs/sprites.py, `14-NAME` of MNIST at 14x14 as in configs/collapse.py. `quick` is that of
configs/codes.py: five of them and baselines in one table, 200 updates each. The sweep: six of `quick-NAME`
(`--sweep='quick-*'`), and each variant with three seeds.
"""

from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.codes import get_config as get_config_of_codes
from vdm_jax.configs.collapse import ALL as OF_MNIST
from vdm_jax.configs.collapse import SIDES
from vdm_jax.configs.digits import DIGITS
from vdm_jax.configs.digits import VARIANTS as MODES
from vdm_jax.configs.sprites import SPRITES
from vdm_jax.configs.sprites import VARIANTS as SPRITE_MODES

from vdm_jax.base.errors import choose

SCORE = {"diffusion.loss": "conditional_score", "diffusion.weighting": "simple"}
DRL = SCORE | {"model.deterministic": True, "rate.mode": "none"}
UNIFORM, P2 = {"diffusion.weighting": "uniform"}, {"diffusion.weighting": "p2"}
# The log SNR between the bands, by the exact posterior over the training images. Sprites: half of shape and orientation
# is lost at -2.2, half of scale at -3.0, half of x and y at -3.9 (results/probes/sparse-linear). Digits and MNIST: half
# of what the class takes off the error of the exact denoiser lies above (the job `worth` of configs/codes.py).
SPLITS = {"digits": -0.9, "sprites": -3.0, "14": -1.2}


def variants_of(modes: dict[str, dict], split: float) -> dict[str, dict]:
    """The settings of each variant. modes: the rate modes of the data. split: the log SNR between the two bands."""
    return {
        "drl": DRL,
        "drl-uniform": DRL | UNIFORM,
        "drl-p2": DRL | P2,
        "drl-low": DRL | {"diffusion.band_high": split},
        "drl-high": DRL | {"diffusion.band_low": split},
        "drl-time": DRL | {"model.encoder_time": True},
        "vdrl-uniform": SCORE | modes["target"] | UNIFORM,
        "vdrl-p2": SCORE | modes["target"] | P2,
        "vdrl-learned": SCORE | modes["target_learned_prior"] | P2,
        "vdrl-time": SCORE | modes["target"] | {"model.encoder_time": True},
        "vdrl": SCORE | {"diffusion.weighting": "bound"} | modes["beta1"],
        "labels": SCORE | {"model.encoder": "none", "model.labels": True, "sample.guidance": 1.0},
        "vae_vdm": modes["beta1"],
        "target": modes["target"],
        "unconditional": modes["unconditional"],
    }


VARIANTS = variants_of(MODES, SPLITS["digits"])
QUICK = {
    "train.num_steps": 200,
    "train.eval_every": 100,
    "train.checkpoint_every": 100,
    "evaluate.passes": 4,
    "evaluate.frechet_images": 300,
    "sample.num_steps": 50,
}
BASES = {  # by the first word of a variant
    "": (DIGITS, VARIANTS),
    "quick": (DIGITS, VARIANTS),
    "sprites": (SPRITES, variants_of(SPRITE_MODES, SPLITS["sprites"])),
    "14": (OF_MNIST | SIDES["14"], variants_of(MODES, SPLITS["14"])),
}
QUICK_TABLE = ("drl", "drl-time", "vdrl-uniform", "vdrl-p2", "vae_vdm", "unconditional")


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`, also after `quick-`, `sprites-` or `14-`; nothing for `quick`."""
    if variant in ("", "quick"):
        return get_config_of_codes("quick")
    start, _, rest = variant.partition("-")
    base, name = (start, rest) if start in BASES else ("", variant)
    settings, variants = BASES[base]
    config = get_base_config()
    config.name = f"representation-{variant}"
    config.update_from_flattened_dict(settings | {"rate.mode": "fixed"} | choose("variant", name, variants))
    config.update_from_flattened_dict(QUICK if base == "quick" else {})
    return config


def get_sweep():
    """The quick table, and every variant with the seeds 0, 1 and 2."""
    quick = [{"variant": f"quick-{name}", "train.seed": 0} for name in QUICK_TABLE]
    return quick + [{"variant": name, "train.seed": seed} for name in VARIANTS for seed in range(3)]
