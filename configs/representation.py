"""Codes of diffusion models: DRL, VDRL and the VAE-VDM, on the same networks, images (8x8 digits) and noise.

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

`quick-NAME` is the same with 200 updates, which is far from converged. `sprites-NAME` is of the 768 sprites and the
networks of configs/sprites.py, `14-NAME` of MNIST at 14x14 as in configs/collapse.py. `quick` is that of
configs/codes.py: five of them beside baselines in one table, 200 updates each. The sweep: six of `quick-NAME`
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
VDRL = SCORE | {"diffusion.weighting": "bound", "rate.mode": "fixed", "rate.beta": 1.0}


def variants_of(modes: dict[str, dict]) -> dict[str, dict]:
    """The settings of each variant; `modes` are the rate modes of the data."""
    return {
        "drl": DRL,
        "drl-uniform": DRL | {"diffusion.weighting": "uniform"},
        "drl-bound": DRL | {"diffusion.weighting": "bound"},
        "drl-low": DRL | {"diffusion.band_high": 0.0},
        "drl-high": DRL | {"diffusion.band_low": 0.0},
        "drl-time": DRL | {"model.encoder_time": True},
        "vdrl": VDRL,
        "vdrl-target": VDRL | modes["target"],
        "vdrl-simple": VDRL | modes["target"] | {"diffusion.weighting": "simple"},
        "vdrl-learned": VDRL | modes["learned_prior"],
        "vdrl-time": VDRL | {"model.encoder_time": True},
        "labels": SCORE | {"model.encoder": "none", "model.labels": True, "sample.guidance": 1.0},
        "vae_vdm": modes["beta1"],
        "target": modes["target"],
        "unconditional": modes["unconditional"],
    }


VARIANTS = variants_of(MODES)
QUICK = {
    "train.num_steps": 200,
    "train.eval_every": 100,
    "train.checkpoint_every": 100,
    "evaluate.passes": 4,
    "evaluate.frechet_images": 300,
    "sample.num_steps": 50,
}
BASES = {  # by the first word of a variant
    "": (DIGITS, MODES),
    "quick": (DIGITS, MODES),
    "sprites": (SPRITES, SPRITE_MODES),
    "14": (OF_MNIST | SIDES["14"], MODES),
}
QUICK_TABLE = ("drl", "drl-time", "vdrl", "vdrl-simple", "vae_vdm", "unconditional")


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`, also after `quick-`, `sprites-` or `14-`; nothing for `quick`."""
    if variant in ("", "quick"):
        return get_config_of_codes("quick")
    start, _, rest = variant.partition("-")
    base, name = (start, rest) if start in BASES else ("", variant)
    settings, modes = BASES[base]
    config = get_base_config()
    config.name = f"representation-{variant}"
    config.update_from_flattened_dict(settings | {"rate.mode": "fixed"} | choose("variant", name, variants_of(modes)))
    config.update_from_flattened_dict(QUICK if base == "quick" else {})
    return config


def get_sweep():
    """The quick table, and every variant with the seeds 0, 1 and 2."""
    quick = [{"variant": f"quick-{name}", "train.seed": 0} for name in QUICK_TABLE]
    return quick + [{"variant": name, "train.seed": seed} for name in VARIANTS for seed in range(3)]
