"""Ways to generate images: how steps are made, their number, and what the chain starts from: METHOD:STEPS:START."""

from typing import NamedTuple

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.degradation.chains import check_method, even_times

DATA, GAUSSIAN, MIXTURE = "data", "gaussian", "mixture"
STARTS = {
    DATA: "D(x, 1) of test images",
    GAUSSIAN: "a Gaussian with the mean and the covariance of D(x, 1) of training images",
    MIXTURE: "a mixture of Gaussians fitted to these",
}


class Generation(NamedTuple):
    """A way to generate images."""

    method: str
    num_steps: int
    start: str


def generations_of(text: str, setting: str, num_steps: int, noise: float) -> dict[str, Generation]:
    """The ways of a list with commas by their text; {} for an empty one. Raises `UserError`.

    setting: its name. num_steps, noise: T of the chain and the noise mixed in.
    """
    found = {}
    for each in filter(None, map(str.strip, text.split(","))):
        parts = each.split(":")
        if len(parts) != 3 or not parts[1].isdecimal() or not int(parts[1]):
            raise UserError(f"{setting}: {each!r}; expected METHOD:STEPS:START, such as improved:50:mixture")
        found[each] = Generation(parts[0], int(parts[1]), parts[2])
        check_generation(found[each], setting, num_steps, noise)
    return found


def check_generation(generation: Generation, setting: str, num_steps: int, noise: float) -> None:
    """Raises `UserError` for an unknown method or start, too many steps, and a method that needs noise without any."""
    check_method(f"{setting}: method", generation.method, noise)
    choose(f"{setting}: start", generation.start, STARTS)
    try:
        even_times(generation.num_steps, num_steps)
    except UserError as error:
        raise UserError(f"{setting}: {error}") from error
