"""The codes that are measured: of trained runs, and baselines that need no training."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.representations import pca_projections, random_projections
from vdm_jax.experiments.codes.runs import Codes, Encode, Levels, TrainedRun

PIXELS, PCA, RANDOM, UNTRAINED = "pixels", "pca", "random", "untrained"
BASELINES = (PIXELS, PCA, RANDOM, UNTRAINED)
ONE_NOISE = "the codes of all times share one draw of noise, so that together they have no density"
SAME = 20  # images by whose codes two untrained encoders are the same


@dataclass(frozen=True, eq=False)
class MeasuredCode:
    """A function of images.

    encode: levels [N, H, W, C] -> mean and log variance [N, D] of the code; None for the latter without noise.
    of: "trained", or a name of `BASELINES`. run: what was trained; None for a baseline. time: t of E(x, t). no_density:
    why a code that is made of noisy ones has no density; "" for all others.
    """

    name: str
    encode: Encode
    of: str = "trained"
    run: TrainedRun | None = None
    time: float | None = None
    no_density: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    def means(self, levels: Levels) -> Codes:
        """The means, [N, D]."""
        return self.encode(levels)[0]


def codes_of(config: ConfigDict, data: Dataset, runs: Sequence[TrainedRun]) -> list[MeasuredCode]:
    """All codes in the order of the tables: trained ones, then baselines of the same widths."""
    fitted, times = data.train.first(config.measure.train_images).levels, times_of(config.codes.times)
    with_code = [run for run in runs if run.has_code]
    trained = [code for run in with_code for code in trained_codes(run, times, fitted)]
    before = [run.untrained() for run in with_code] if UNTRAINED in names_of(config.codes.baselines) else []
    untrained = [code for run in before for code in trained_codes(run, times, fitted)]
    return trained + list(baselines(config, data, fitted, trained, untrained))


def trained_codes(run: TrainedRun, times: Sequence[float], fitted: Levels) -> Iterator[MeasuredCode]:
    """The code of a run; of E(x, t) that of each time, all of them together, and as many of their principal components
    as one has numbers.

    fitted: the images that the components are fitted to.
    """
    parts = {"run": run, "about": run.about}
    if not run.of_time:
        yield MeasuredCode(run.name, run.encoder(), **parts)
        return
    for end, encode, time in timed_codes({t: run.encoder(t) for t in times}, fitted):
        why = ONE_NOISE if time is None and not run.model.code.deterministic else ""
        yield MeasuredCode(f"{run.name}@{end}", encode, time=time, no_density=why, **parts)


def timed_codes(encoders: Mapping[float, Encode], fitted: Levels) -> Iterator[tuple[str, Encode, float | None]]:
    """(end of the name, `MeasuredCode.encode`, time) of the codes of E(x, t), from its encoders by time."""
    for t, encode in encoders.items():
        yield f"{t:g}", encode, t
    if len(encoders) > 1:
        together, width = joined(list(encoders.values())), next(iter(encoders.values()))(fitted[:1])[0].shape[1]
        yield "all", without_noise(together), None
        yield f"all_pca_{width}", without_noise(components(together, fitted, width)), None


def joined(encoders: Sequence[Encode]) -> Callable[[Levels], Codes]:
    """The means of several encoders in one code."""
    return lambda levels: np.concatenate([encode(levels)[0] for encode in encoders], axis=1)


def baselines(
    config: ConfigDict,
    data: Dataset,
    fitted: Levels,
    trained: Sequence[MeasuredCode],
    untrained: Sequence[MeasuredCode],
) -> Iterator[MeasuredCode]:
    """Raw pixels; principal components and a random projection of each width that a trained code has; the encoder of
    each run before its training, of equal ones the first.

    fitted: the images that the components are fitted to.
    """
    chosen, shown = names_of(config.codes.baselines), data.test.first(SAME).levels

    def pixels(levels: Levels) -> Codes:
        return pixels_of(data, levels)

    if PIXELS in chosen:
        yield MeasuredCode(PIXELS, without_noise(pixels), PIXELS)
    for width in sorted({code.means(shown[:1]).shape[1] for code in trained}) or [config.codes.width]:
        if PCA in chosen and width < data.num_dims:
            yield MeasuredCode(f"{PCA}_{width}", without_noise(components(pixels, fitted, width)), PCA)
        if RANDOM in chosen:
            yield MeasuredCode(f"{RANDOM}_{width}", without_noise(projection(pixels, width, config.codes.seed)), RANDOM)
    found: list[np.ndarray] = []
    for code in untrained:
        means = code.means(shown)
        if not any(np.array_equal(means, other) for other in found):
            found.append(means)
            yield replace(code, name=f"{UNTRAINED}_{code.name}", of=UNTRAINED, run=None, about={})


def components(means: Callable[[Levels], Codes], fitted: Levels, width: int) -> Callable[[Levels], Codes]:
    """The leading principal components of features of images, at most `width` of them, fitted to those of `fitted`."""
    features = functools.cache(lambda: means(fitted))
    return lambda levels: pca_projections([features(), means(levels)], width)[1]


def projection(means: Callable[[Levels], Codes], width: int, seed: int) -> Callable[[Levels], Codes]:
    """Features of images through one Gaussian matrix."""
    return lambda levels: random_projections([means(levels)], width, seed)[0]


def without_noise(means: Callable[[Levels], Codes]) -> Encode:
    """`MeasuredCode.encode` of a function of images."""
    return lambda levels: (means(levels).astype(np.float32), None)


def pixels_of(data: Dataset, levels: Integer[np.ndarray, "n ..."]) -> Float[np.ndarray, "n f"]:
    """The pixel values of images, [N, H W C]."""
    return data.pixel_values[levels].reshape(len(levels), -1)


def names_of(text: str) -> list[str]:
    """The baselines of `config.codes.baselines`. Raises `UserError`."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        choose("baseline of config.codes.baselines", name, dict.fromkeys(BASELINES))
    return names


def times_of(text: str) -> list[float]:
    """The times of `config.codes.times`, ascending. Raises `UserError`."""
    try:
        times = sorted({float(time) for time in text.split(",") if time.strip()})
    except ValueError:
        times = [-1.0]
    if not times or not all(0 <= time <= 1 for time in times):
        raise UserError(f"config.codes.times={text!r}; expected times from 0 to 1, such as 0.1,0.5,0.9")
    return times


def about_codes(codes: Sequence[MeasuredCode], widths: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """What records say of each code: {"of", "width", "time", and of a trained one `TrainedRun.about`}."""
    return {
        code.name: {"of": code.of, "width": widths[code.name]}
        | ({} if code.time is None else {"time": code.time})
        | code.about
        for code in codes
    }
