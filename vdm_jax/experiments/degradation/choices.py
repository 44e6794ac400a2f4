"""What each choice of a degradation reads."""

from vdm_jax.diffusion.degradation.functions import DEGRADATIONS
from vdm_jax.experiments.common.build import DATA, above, by_data
from vdm_jax.experiments.common.networks import network_choices
from vdm_jax.experiments.degradation.checks import FUNCTION
from vdm_jax.launch.choices import Choice

DEGRADED = Choice(
    "degradation.name",
    {name: tuple(f"degradation.{setting}" for setting in kind.takes) for name, kind in DEGRADATIONS.items()}
    | {FUNCTION: ("degradation.function",)},
)
# Of sprites modes are counted, of other data distances are measured.
SCORES = by_data(("evaluate.coverage_images",), ("evaluate.frechet_images",))
OF_MODES = tuple(f"evaluate.{name}" for name in ("sprite_tolerance", "reader_images", "reader_steps"))
COVERAGE = above("evaluate.coverage_images", 2, OF_MODES)
DEGRADATION_CHOICES = (DATA, DEGRADED, *network_choices("model"), SCORES, COVERAGE)
