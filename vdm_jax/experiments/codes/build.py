"""From a config of kind "codes" to the trained runs and the codes that are compared."""

import ast
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.provenance import provenance
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.samplers import SPACINGS
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.experiments.codes.codes import MeasuredCode, codes_of, names_of, times_of
from vdm_jax.experiments.codes.runs import TrainedRun, load_run
from vdm_jax.experiments.common.build import load
from vdm_jax.experiments.common.checkpoints import WEIGHTS
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.launch.config_files import flat, load_config
from vdm_jax.launch.kind import Need
from vdm_jax.launch.settings import plain, value_of

NO_CODE = "there is no code: no run of config.runs or config.variants has one, and config.codes.baselines is empty"
NUMBERS = (
    ("at least 1", lambda value: value >= 1, "codes.width codes.num_steps codes.batch_size measure.readout_steps"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "measure.readout_seeds measure.draws"),
    ("at least 10", lambda value: value >= 10, "measure.train_images measure.information_images"),
    ("0 for all, or at least 10", lambda value: value == 0 or value >= 10, "measure.test_images"),
    ("0 for none, or at least 100", lambda value: value == 0 or value >= 100, "measure.disentanglement_images"),
    ("at least 2", lambda value: value >= 2, "decode.num_images decode.pairs worth.num_images worth.points"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "worth.passes"),
    ("at least 3", lambda value: value >= 3, "decode.steps"),
    ("1 to 1,000,000", lambda value: 1 <= value <= 1_000_000, "decode.num_steps"),
    (*SEED, "codes.seed measure.seed decode.seed worth.seed"),
)


@dataclass(frozen=True, eq=False)
class CodesExperiment:
    """What the jobs start from. runs: the trained runs; one without a code is a reference for the others."""

    config: ConfigDict
    data: Dataset
    runs: tuple[TrainedRun, ...]
    codes: tuple[MeasuredCode, ...]

    @property
    def inputs(self) -> dict[str, str]:
        """Fingerprints of the data and of the weights of each run."""
        weights = " ".join(f"{run.name}:{run.about['fingerprint']}" for run in self.runs)
        return {"data": self.data.fingerprint, "runs": weights}

    @property
    def origin(self) -> dict[str, Any]:
        """The settings and the provenance of a record."""
        of = {"config": self.config.name, "seed": self.config.codes.seed} | self.inputs
        return {"settings": plain(self.config), "provenance": provenance() | of}


def check_codes(config: ConfigDict) -> None:
    """`Kind.check`: what can be judged before anything is trained. Raises `UserError`."""
    check_numbers(config, NUMBERS)
    choose("config.codes.weights", config.codes.weights, WEIGHTS)
    method_of(config.decode.sampler, "config.decode.sampler")
    choose("config.decode.grid", config.decode.grid, SPACINGS)
    names_of(config.codes.baselines)
    times_of(config.codes.times)
    try:
        wanted = [int(number) for number in config.measure.labels.split(",") if number.strip()]
    except ValueError:
        wanted = [0]
    if any(number < 1 for number in wanted):
        given = f"config.measure.labels={config.measure.labels!r}"
        raise UserError(f"{given}; expected numbers of labelled images a class, such as 1,10,100")
    if not names_of(config.codes.baselines) and not any((*config.runs.values(), *config.variants.values())):
        raise UserError(NO_CODE)
    for name, stated in config.variants.items():
        if stated and not config.runs[name]:
            file_and_settings(name, stated)


def needs_of_codes(config: ConfigDict) -> dict[str, Need]:
    """The runs of `config.variants` that `config.runs` names no folder of, trained on the data of this config."""
    data = {f"data.{name}": config.data[name] for name in flat(config.data)}
    length = {} if config.codes.num_steps is None else {"train.num_steps": config.codes.num_steps}
    found = {}
    for name, stated in config.variants.items():
        if stated and not config.runs[name]:
            file, own = file_and_settings(name, stated)
            overrides = data | length | own | {"train.seed": config.codes.seed}
            found[name] = Need(file, overrides, ("train",), f"runs.{name}")
    return found


def file_and_settings(name: str, stated: str) -> tuple[str, dict[str, Any]]:
    """(config file with its variant, settings) of a text "FILE:VARIANT KEY=VALUE …". Raises `UserError` for a config
    file or a variant that does not exist, a setting that it does not have or a value of another type, or a kind
    without a code."""
    file, *words = stated.split()
    where = f"config.variants.{name}={stated!r}"
    first, colon, variant = file.partition(":")
    file = f"configs/{first}.py{colon}{variant}"
    config = load_config(file)
    if config.kind not in ("vae_vdm", "autoencoder"):
        raise UserError(f"{where} is of kind {config.kind!r}; expected a config of 'vae_vdm' or 'autoencoder'")
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in set(flat(config)):
            raise UserError(f"{where}: {word!r} is no KEY=VALUE with a setting of {file}")
        try:
            settings[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            settings[key] = value
        try:
            config.update_from_flattened_dict({key: settings[key]})
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {word!r}; expected a value like {value_of(plain(config), key)!r}") from error
    return file, settings


def build_codes(config: ConfigDict, folder: str = "") -> CodesExperiment:
    """Checks every setting, loads the data, the runs and what is fitted to the data. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_codes(config)
    data = load(config.data, folder)
    runs = tuple(load_run(name, where, data, config.codes) for name, where in config.runs.items() if where)
    codes = tuple(codes_of(config, data, runs))
    if not codes:
        raise UserError(NO_CODE)
    return CodesExperiment(config, data, runs, codes)
