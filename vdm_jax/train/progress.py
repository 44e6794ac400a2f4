"""Progress of a training: a bar in a terminal, a few lines in a file."""

import math

from vdm_jax.base.progress import Stage


class Progress(Stage):
    """Shows steps, loss, images/s and remaining time on stderr: a bar, or lines without a terminal or without tqdm."""

    def __init__(self, num_steps: int, step: int):
        super().__init__("train", num_steps, step)

    def show_numbers(self, loss: float, images_per_second: float) -> None:
        """Shows the numbers of the steps since the last call. An unknown rate is NaN."""
        rate = "" if math.isnan(images_per_second) else f", {images_per_second:.0f} images/s"
        self.show(f"loss {loss:.4g}{rate}")
