"""The settings of `configs/digits.py`, `collapse.py` and `collapse_causes.py` under the names that readers see."""

from collections.abc import Sequence
from pathlib import Path

from vdm_jax.report.compare.study import Setting
from vdm_jax.report.published.table import setting

NAMES = {  # stem of the folders -> name
    "unconditional": "no code",
    "control": "control code",
    "w_dropout": "code dropout",
    "learned_prior": "beta 1, learned prior",
    "beta1": "beta 1",
    "cyclical": "cyclical beta",
    "warmup": "warm-up of beta",
    "beta1e4": "beta 10,000",
    "mmd": "MMD",
    "high_noise": "loss at high noise times 3",
    "free_bits": "free bits, 0.5 nats a unit",
    "target2_learned_prior": "rate target 2, learned prior",
    "target_learned_prior": "rate target 10, learned prior",
    "target": "rate target 10",
    "none": "no KL",
}
OF_CAUSES = ("control", "target2_learned_prior")  # of configs/collapse_causes.py alone
THIRTEEN = tuple(name for name in NAMES if name not in OF_CAUSES)  # of the study of rate modes


def settings(folder: Path, seeds: Sequence[int], stems: Sequence[str] = THIRTEEN) -> dict[str, Setting]:
    """The settings whose runs lie in `folder/STEM-SEED`, by stem."""
    return {stem: setting(NAMES[stem], folder, seeds, stem) for stem in stems}
