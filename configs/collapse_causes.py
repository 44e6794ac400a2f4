"""Why does a code not pay for itself: its rate, a useless input, the size of the decoder, or too short a training?

Variants:

- digits-BLOCKSxCHANNELS-MODE: 8x8 digits as in `configs/digits.py` with decoders of 1, 2 or 4 blocks and 8, 16 or 32
  channels. 2x32 is the decoder of that file.
- 14-BLOCKSxCHANNELS-MODE: MNIST at 14x14 as in `configs/collapse.py` with the corners 1x8 and 4x32.
- 14-12epochs-MODE: MNIST at 14x14, each image seen 12 times.

MODE is a code's setting: `unconditional` (none), `control` (w ~ N(0, I) whatever the image), `beta1`,
`target_learned_prior` (10 nats). The sweep has them with the seeds 0, 1 and 2; a pattern chooses a study:

    python launch.py --config=configs/collapse_causes.py --sweep='digits-*' --workdir=DIR --jobs=train,evaluate
"""

from vdm_jax.configs import collapse, digits
from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.base import paired

from vdm_jax.base.errors import choose

MODES = {name: digits.VARIANTS[name] for name in ("unconditional", "control", "beta1", "target_learned_prior")}
BLOCKS, CHANNELS = (1, 2, 4), (8, 16, 32)
SIZES = {
    f"{blocks}x{channels}": {"model.unet.num_blocks": blocks, "model.unet.channels": channels}
    for blocks in BLOCKS
    for channels in CHANNELS
}
NO_SAMPLES = {"evaluate.frechet_images": 0}  # the bound and the code are compared, no images
DIGITS = paired(SIZES, MODES)
MNIST = paired({name: SIZES[name] for name in ("1x8", "4x32")}, MODES)
EPOCHS = {  # 55,000 images in batches of 16
    "train.num_steps": 12 * 55_000 // 16,
    "train.eval_every": 2_750,
    "train.checkpoint_every": 2_750,
    "evaluate.frechet_images": 2_000,
}
LONGER = paired(
    {"12epochs": EPOCHS}, {name: MODES[name] for name in ("unconditional", "control", "target_learned_prior")}
)
VARIANTS = (
    {f"digits-{name}": digits.DIGITS | NO_SAMPLES | own for name, own in DIGITS.items()}
    | {f"14-{name}": collapse.ALL | collapse.SIDES["14"] | NO_SAMPLES | own for name, own in MNIST.items()}
    | {f"14-{name}": collapse.ALL | collapse.SIDES["14"] | own for name, own in LONGER.items()}
)


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`; nothing for `digits-2x32-control`."""
    config = get_base_config()
    variant = variant or "digits-2x32-control"
    config.name = f"causes-{variant}"
    config.update_from_flattened_dict(choose("variant", variant, VARIANTS))
    return config


def get_sweep():
    """Every variant with the seeds 0, 1 and 2. Settings of a seed share images, noise and batches."""
    return [{"variant": variant, "train.seed": seed} for variant in VARIANTS for seed in range(3)]
