"""The settings of `configs/digits.py` and `configs/collapse.py` under the names that readers see."""

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
    "high_noise": "high noise left to the code",
    "free_bits": "free bits, 0.5 nats a unit",
    "target_learned_prior": "rate target 10, learned prior",
    "target": "rate target 10",
    "none": "no KL",
}


THIRTEEN = tuple(name for name in NAMES if name != "control")  # of the study of rate modes


def settings(folder: Path, seeds: Sequence[int], stems: Sequence[str] = THIRTEEN) -> dict[str, Setting]:
    """The settings whose runs lie in `folder/STEM-SEED`, by stem."""
    return {stem: setting(NAMES[stem], folder, seeds, stem) for stem in stems}
