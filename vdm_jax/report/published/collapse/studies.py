"""The studies of results/collapse, and what their records say of a setting compared with another one.

Any record may be missing: a study that was not run has no settings, and a difference of fewer than three seeds has no
interval.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.paired import bound_over_images, ends, fixed, of_common_seeds
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.workdir import is_number, leaves
from vdm_jax.report.published.settings import NAMES
from vdm_jax.report.published.table import DASH, interval, setting

SEEDS = (0, 1, 2)
NOT_RUN = "not run"
NONE, CONTROL, BETA1, TARGET = "unconditional", "control", "beta1", "target_learned_prior"
SIZES = tuple(f"{blocks}x{channels}" for blocks in (1, 2, 4) for channels in (8, 16, 32))
DIGITS, MNIST, SPARSE, SMALL, MNIST28 = "8x8 digits", "MNIST 14x14", "768 sprites", "9,216 sprites", "MNIST 28x28"
LABELS = {DIGITS: 10, MNIST: 10, SPARSE: 3, SMALL: 3, MNIST28: 10}  # classes; of sprites their shapes
OF_SPRITES = NAMES | {"target_learned_prior": "rate target 4, learned prior"}


class Study(NamedTuple):
    """Runs of one data set and one decoder: `results/collapse/FOLDER/PREFIX STEM-SEED`, without the space.

    Attributes:
        data: name of the data set.
        place: the decoder (blocks x channels) and what else distinguishes the study.
        folder: under results/collapse.
        prefix: of the folders of its runs.
        names: stem of a setting -> name.
    """

    data: str
    place: str
    folder: str
    prefix: str = ""
    names: Mapping[str, str] = NAMES


MODES = Study(DIGITS, "2x32", "digits")
MODES_14 = Study(MNIST, "4x16", "mnist14")
DECODERS = tuple(Study(DIGITS, size, "decoders-digits", f"{size}-") for size in SIZES)
CORNERS = tuple(Study(MNIST, size, "decoders-14", f"{size}-") for size in ("1x8", "4x32"))
LONGER = Study(MNIST, "4x16, 12 epochs", "longer-14")
SPRITES = Study(SPARSE, "multi-scale", "sprites-sparse", names=OF_SPRITES)
SPRITES_SMALL = Study(SMALL, "multi-scale", "sprites-small", names=OF_SPRITES)
STUDIES = (MODES, *DECODERS, MODES_14, *CORNERS, LONGER, SPRITES, SPRITES_SMALL, Study(MNIST28, "4x16", "mnist28"))


class Cost(NamedTuple):
    """A setting compared with another one of its study, on their common seeds.

    over_seeds: D + R less that of the other one, nats, paired seed by seed. over_images: the mean over seeds of each
    test image, paired over the images; None where the records have no numbers of each image.
    """

    study: Study
    stem: str
    ours: Setting
    theirs: Setting
    over_seeds: Difference
    over_images: Difference | None

    @property
    def name(self) -> str:
        """Setting and decoder."""
        return f"{self.ours.name} ({self.study.place})"

    @property
    def information(self) -> float | None:
        """The lower bound of I(x; w), nats, mean over the seeds."""
        found = list(numbers(self.ours, "mi_lower_nats").values())
        return float(np.mean(found)) if found else None

    @property
    def sign(self) -> int | None:
        """1 or -1 where D + R is above or below the other's, by the intervals over seeds and over images; 0 where an
        interval includes 0; None for fewer than three seeds."""
        if self.over_seeds.interval is None:
            return None
        signs = {sign_of(found) for found in (self.over_seeds, self.over_images) if found is not None}
        return signs.pop() if len(signs) == 1 else 0


def sign_of(found: Difference) -> int:
    """1 or -1 for an interval above or below 0, else 0."""
    low, high = found.interval
    return int(low > 0) - int(high < 0)


def runs_of(study: Study, stem: str, folder: Path) -> Setting | None:
    """The evaluated runs of a setting; None if there is none."""
    found = setting(study.names[stem], folder / study.folder, SEEDS, f"{study.prefix}{stem}")
    runs = tuple(run for run in found.runs if is_number(run.evaluate.get("bound_nats")))
    return Setting(found.name, runs) if runs else None


def cost_of(study: Study, stem: str, folder: Path, against: str = NONE) -> Cost | None:
    """A setting compared with another one, usually no code; None where they have no seed in common."""
    ours, theirs = (runs_of(study, name, folder) for name in (stem, against))
    common = ours and theirs and of_common_seeds(ours, theirs)
    if not common:
        return None
    over_seeds = paired(*(numbers(one, "bound_nats") for one in common))
    return Cost(study, stem, *common, over_seeds, bound_over_images(*common))


def costs_of(study: Study, folder: Path) -> list[Cost]:
    """Every setting of a study compared with no code."""
    found = [cost_of(study, stem, folder) for stem in study.names if stem != NONE]
    return [cost for cost in found if cost is not None]


def gaps(cost: Cost | None) -> dict[int, float]:
    """D + R above that of the other setting by seed."""
    if cost is None:
        return {}
    ours, theirs = (numbers(one, "bound_nats") for one in (cost.ours, cost.theirs))
    return {seed: value - theirs[seed] for seed, value in ours.items()}


def numbers(one: Setting | None, *place: str) -> dict[int, float]:
    """The number at a place of evaluate.json by seed; without the seeds that lack it."""
    runs = [] if one is None else zip(one.seeds, (leaves(run.evaluate) for run in one.runs), strict=True)
    return {seed: float(found[place]) for seed, found in runs if is_number(found.get(place))}


def paired(ours: Mapping[int, float], theirs: Mapping[int, float] | None = None) -> Difference | None:
    """ours - theirs on the common seeds, or ours alone; None without a common seed."""
    theirs = dict.fromkeys(ours, 0.0) if theirs is None else theirs
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return None
    return paired_difference(*(np.array([one[seed] for seed in seeds]) for one in (ours, theirs)), "seeds")


def shown(found: Difference | None) -> str:
    """`mean [low, high]`, the mean and the number of seeds where that is below three, or "not run"."""
    if found is None:
        return NOT_RUN
    return interval(found) if found.interval is not None else f"{float(found.mean):.2f} ({seeds(found.n)})"


def shown_cost(cost: Cost | None) -> str:
    """`mean [low, high]; over images [low, high]`; below three seeds the difference of each."""
    if cost is None:
        return NOT_RUN
    if cost.over_seeds.interval is None:
        return f"{listed(cost)} ({seeds(cost.over_seeds.n)})"
    of_images = ends(cost.over_images)
    return shown(cost.over_seeds) + ("" if of_images == DASH else f"; over images {of_images}")


def listed(cost: Cost, joint: str = ", ") -> str:
    """The difference of each seed, to a tenth of a nat."""
    return joint.join(fixed(gap, 1) for gap in gaps(cost).values())


def seeds(number: int) -> str:
    """ "1 seed", "3 seeds"."""
    return f"{number} seed{'s' if number > 1 else ''}"
