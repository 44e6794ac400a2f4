"""Sections of the page whose studies may not be run: heading, text and table; nothing where there is no record."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vdm_jax.report.published.collapse.causes import decoder_table, longer_table, sprite_table
from vdm_jax.report.published.collapse.frechet_draws import frechet_draws
from vdm_jax.report.published.collapse.studies import CORNERS, LONGER, NOT_RUN, SPRITES, SPRITES_SMALL

CORNERS_14 = """MNIST at 14x14, 5,000 updates of 16 images. The decoder between them, 4x16, is that of the study of 13
settings below:"""
EPOCHS = """### Longer training

MNIST at 14x14, decoder 4x16, each image seen 12 times (41,250 updates of 16 images), compared with 5,000 updates. The
intervals are those of the decoders above. The last column lists the seeds: how far the bound of validation images
still fell in the last fifth of the training."""
OF_SPRITES = """### Data whose entropy is known: 768 sprites

Sprites of 32x32, all images in training and evaluation: ln 768 = 6.64 nats is the entropy, and no mean of D + R lies
below it. 6,000 updates of 16 images, multi-scale U-Net. Factors: linear readout of w / MLP / linear readout of the
untrained encoder's w, in five folds of images that the readouts were not fitted on. Orientation is scored as
(cos kθ, sin kθ), k the symmetry of the shape. Intervals over test images are evaluation noise here, for the images are
all there are."""
OF_MORE_SPRITES = """### 9,216 sprites

As for 768 sprites; ln 9,216 = 9.13 nats."""
DISTANCES = """MNIST 14x14 after 12 epochs, 2,000 samples, distances drawn with several seeds of the evaluation (mean ±
standard error over trainings ± standard error over draws):"""


def section(text: str, make: Callable[[Path], str], folder: Path) -> str:
    """The text and its table; "" where there is no record."""
    found = make(folder)
    return "" if found == NOT_RUN else f"{text}\n\n{found}"


SECTIONS = {
    "decoders-14": partial(section, CORNERS_14, partial(decoder_table, CORNERS)),
    "longer-14": partial(section, EPOCHS, longer_table),
    "sprites-sparse": partial(section, OF_SPRITES, partial(sprite_table, SPRITES)),
    "sprites-small": partial(section, OF_MORE_SPRITES, partial(sprite_table, SPRITES_SMALL)),
    "frechet-longer": partial(section, DISTANCES, partial(frechet_draws, LONGER)),
}
