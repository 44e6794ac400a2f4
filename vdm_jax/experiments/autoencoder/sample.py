"""The sets of images of an autoencoder: reconstructions, decoded prior samples, interpolations, traversals, heat maps.

`draw_autoencoder` is the `draw` of `experiments/common/sample.py: sample`.
"""

import pathlib
from typing import Any

from jaxtyping import PyTree


def draw_autoencoder(experiment: Any, params: PyTree, folder: pathlib.Path) -> None:
    """Saves NAME.npz and NAME.png of each set in `folder`.

    real: test images; reconstructions: their decoded means.
    prior: `config.sample.num_images` decoded draws; draw i is a function of `config.sample.seed` and i alone. The prior
        is N(0, I); of a deterministic code a Gaussian with the latents' mean and deviation per component; of a
        quantised code the codes' frequencies at each place.
    prior_covariance: of a deterministic code, a Gaussian with the latents' mean and covariance.
    interpolations: decoded points on the line between the means of two test images.
    traversals: decoded means of test images, one leading latent moved over ± 2 deviations.
    heat_maps: of spatial latents, the channels of the means of test images.
    """
    raise NotImplementedError
