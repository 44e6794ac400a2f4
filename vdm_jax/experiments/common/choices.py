"""What each choice of the data, of the noise and of the evaluation reads, from the registries that make them."""

from collections.abc import Iterable, Mapping
from typing import Any

from vdm_jax.data.sources import SOURCES
from vdm_jax.diffusion.schedules import SCHEDULES, settings_of
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.settings import value_of
from vdm_jax.networks.gamma import LEARNED_GAMMAS

OF_A_GRID = ("split",)  # settings of the data that are for grids of sprites alone
NAMES = {"data_dir": "dir"}  # of arguments of a source that are settings of another name


def data_settings(source: str) -> tuple[str, ...]:
    """The settings of `config.data` that a source reads besides its name."""
    chosen = SOURCES[source]
    return tuple(NAMES.get(name, name) for name in chosen.takes) + (OF_A_GRID if chosen.grid else ())


def by_data(of_a_grid: tuple[str, ...], of_others: tuple[str, ...]) -> Choice:
    """Settings that are read of grids of sprites alone, and of other data alone."""
    return Choice("data.source", {name: of_a_grid if chosen.grid else of_others for name, chosen in SOURCES.items()})


def above(setting: str, least: int, reads: tuple[str, ...]) -> Choice:
    """Settings that are read where a number is at least `least`."""

    def of_number(settings: Mapping[str, Any]) -> Iterable[str]:
        return [str(least) if value_of(settings, setting) >= least else "less"]

    return Choice(setting, {f"{least}": reads, "less": ()}, of_number)


def not_empty(setting: str, example: str, reads: tuple[str, ...]) -> Choice:
    """Settings that are read where a text is not empty."""

    def of_text(settings: Mapping[str, Any]) -> Iterable[str]:
        return [example if value_of(settings, setting) else ""]

    return Choice(setting, {example: reads, "": ()}, of_text)


DATA = Choice("data.source", {name: tuple(f"data.{each}" for each in data_settings(name)) for name in SOURCES})
# A learned schedule takes gamma_min and gamma_max as `linear` does. The number of steps is always read: it is the T of
# the bound, whatever the schedule.
NOISE = Choice(
    "diffusion.schedule",
    {
        name: tuple(f"diffusion.{each}" for each in settings if each != "num_steps")
        for name, settings in (
            {name: settings_of(name) for name in SCHEDULES} | dict.fromkeys(LEARNED_GAMMAS, settings_of("linear"))
        ).items()
    },
)
FRECHET = (
    above("evaluate.frechet_images", 2, ("evaluate.inception",)),
    not_empty("evaluate.inception", "FILE", ("evaluate.fid_reference_images",)),
)
