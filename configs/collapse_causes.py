"""Why does a code not pay for itself: its rate, a useless input, the size of the decoder, or too short a training?

Variants:

- digits-BLOCKSxCHANNELS-MODE: 8x8 digits as in `configs/digits.py` with decoders of 1, 2 or 4 blocks and 8, 16 or 32
  channels. 2x32 is the decoder of that file.
- 14-BLOCKSxCHANNELS-MODE: MNIST at 14x14 as in `configs/collapse.py` with the corners 1x8 and 4x32.
- 14-12epochs-MODE: MNIST at 14x14, each image seen 12 times.
- sprites-sparse-MODE, sprites-small-MODE: all of 768 or 9,216 sprites as in `configs/sprites.py`. Their entropy is
  known.

MODE is a code's setting: `unconditional` (none), `control` (w ~ N(0, I) whatever the image), `beta1`, of sprites
`learned_prior` (beta 1), `target_learned_prior` (10 nats, of sprites 4), `target2_learned_prior` (2 nats, 12 epochs
alone). The sweep has them with the seeds 0, 1 and 2, except for `ONCE` with seed 0; a pattern chooses a study:

    python launch.py --config=configs/collapse_causes.py --sweep='digits-*' --workdir=DIR --jobs=train,evaluate
"""

from vdm_jax.configs import collapse, digits, sprites
from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.base import paired

from vdm_jax.base.errors import choose

BEFORE = {name: digits.VARIANTS[name] for name in ("unconditional", "control")}
TARGET = {"target_learned_prior": digits.VARIANTS["target_learned_prior"]}
MODES = BEFORE | {"beta1": digits.VARIANTS["beta1"]} | TARGET
BLOCKS, CHANNELS = (1, 2, 4), (8, 16, 32)
SIZES = {
    f"{blocks}x{channels}": {"model.unet.num_blocks": blocks, "model.unet.channels": channels}
    for blocks in BLOCKS
    for channels in CHANNELS
}
NO_SAMPLES = {"evaluate.frechet_images": 0}  # the bound and the code are compared, no images
MNIST = collapse.ALL | collapse.SIDES["14"]
EPOCHS = {  # 55,000 images in batches of 16
    "train.num_steps": 12 * 55_000 // 16,
    "train.eval_every": 2_750,
    "train.checkpoint_every": 2_750,
    "evaluate.frechet_images": 2_000,
}
LESS = {"beta1": MODES["beta1"], "target2_learned_prior": TARGET["target_learned_prior"] | {"rate.target_nats": 2.0}}
OF_SPRITES = ("unconditional", "control", "learned_prior", "target_learned_prior")
POPULATIONS = {
    "sparse": {"data.name": "sparse"},
    "small": {"data.name": "small", "evaluate.passes": 2, "train.eval_every": 2_000, "train.checkpoint_every": 2_000},
}
STUDIES = {
    "digits": paired({name: digits.DIGITS | NO_SAMPLES | size for name, size in SIZES.items()}, MODES),
    "14": paired({name: MNIST | NO_SAMPLES | SIZES[name] for name in ("1x8", "4x32")}, MODES)
    | paired({"12epochs": MNIST | EPOCHS}, BEFORE | TARGET | LESS),
    "sprites": paired(
        {name: sprites.SPRITES | NO_SAMPLES | population for name, population in POPULATIONS.items()},
        {name: sprites.VARIANTS[name] for name in OF_SPRITES},
    ),
}
VARIANTS = {f"{data}-{name}": own for data, of_data in STUDIES.items() for name, own in of_data.items()}
ONCE = (  # with seed 0 alone, and last in the sweep: three trainings take hours
    *(f"14-12epochs-{name}" for name in LESS),
    *(f"sprites-small-{name}" for name in OF_SPRITES),
)


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`; nothing for `digits-2x32-control`."""
    config = get_base_config()
    variant = variant or "digits-2x32-control"
    config.name = f"causes-{variant}"
    config.update_from_flattened_dict(choose("variant", variant, VARIANTS))
    return config


def get_sweep():
    """Every variant with the seeds 0, 1 and 2, then `ONCE` with seed 0. Settings of a seed share images, noise and
    batches."""
    thrice = [name for name in VARIANTS if name not in ONCE]
    members = [{"variant": variant, "train.seed": seed} for variant in thrice for seed in range(3)]
    return members + [{"variant": variant, "train.seed": 0} for variant in ONCE]
