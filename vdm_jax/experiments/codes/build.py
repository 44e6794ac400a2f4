"""From a config of kind "codes" to the trained runs and the codes that are compared."""

import ast
import pathlib
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose, naming
from vdm_jax.base.provenance import provenance
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.samplers import SPACINGS
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.experiments.codes.codes import UNTRAINED, MeasuredCode, codes_of, names_of, times_of
from vdm_jax.experiments.codes.runs import (
    AUTOENCODER,
    CONDITIONAL,
    SECTIONS,
    StoredRun,
    TrainedRun,
    load_run,
    read_run,
    refuse_other_data,
    states_code,
)
from vdm_jax.experiments.common.build import load, load_if_found
from vdm_jax.experiments.common.checkpoints import WEIGHTS, step_of
from vdm_jax.experiments.common.checks import NUMBERS as OF_TRAININGS
from vdm_jax.experiments.common.checks import SEED, check_checkpoint, check_numbers
from vdm_jax.launch.config_files import flat, load_config
from vdm_jax.launch.kind import Need
from vdm_jax.launch.settings import plain, value_of
from vdm_jax.train.listing import kept_steps

NO_CODE = (
    "there is no code: no run of config.runs or config.variants has one, and config.codes.baselines={!r} makes none"
)
NUMBERS = (
    ("at least 1", lambda value: value >= 1, "codes.width codes.num_steps codes.batch_size measure.readout_steps"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "measure.readout_seeds measure.draws measure.passes"),
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
    check_numbers(config, (*NUMBERS, *OF_TRAININGS))  # of the latter those of the data
    check_checkpoint("config.codes.checkpoint", config.codes.checkpoint)
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
    stored = [read_run(name, where) for name, where in config.runs.items() if where]
    _check_stored(config, stored)
    trained = variants_of(config).values()
    have_code = [run.has_code for run in stored]
    have_code += [states_code(variant.config.kind, plain(variant.config)) for variant in trained]
    if not any(have_code) and not set(names_of(config.codes.baselines)) - {UNTRAINED}:
        raise UserError(NO_CODE.format(config.codes.baselines))


def _check_stored(config: ConfigDict, runs: list[StoredRun]) -> None:
    """Raises `UserError` for runs of other data, or without the checkpoint of `config.codes`."""
    for run in runs:
        with naming(run.named):
            step_of(run.folder, config.codes.checkpoint)
    data = load_if_found(config) if runs else None
    for run in runs if data is not None else ():
        refuse_other_data(run, data)


def needs_of_codes(config: ConfigDict) -> dict[str, Need]:
    """The runs of `config.variants` that `config.runs` names no folder of, trained on the data of this config."""
    data = {f"data.{name}": config.data[name] for name in flat(config.data)}
    length = {} if config.codes.num_steps is None else {"train.num_steps": config.codes.num_steps}
    seed, check = {"train.seed": config.codes.seed}, partial(check_kept, config.codes.checkpoint)
    return {
        name: Need(
            own.file, data | length | own.settings | seed, ("train",), f"runs.{name}", stated=own.stated, check=check
        )
        for name, own in variants_of(config).items()
    }


def check_kept(checkpoint: str | int, config: ConfigDict, folder: pathlib.Path, is_complete: bool) -> None:
    """`Need.check`. Raises `UserError` for a checkpoint that a complete training does not have, and for a step that is
    not among the latest checkpoints which a training will keep."""
    if is_complete:
        step_of(folder, checkpoint)
        return
    train = config.train
    steps = kept_steps(train.num_steps, train.checkpoint_every, train.keep_latest)
    if str(checkpoint).isdecimal() and str(checkpoint) not in map(str, steps):
        kept = f"its training keeps the latest checkpoints, {steps}, and the best one"
        raise UserError(f"config.codes.checkpoint={checkpoint}: {kept}; expected 'latest', 'best' or one of {steps}")


class Variant(NamedTuple):
    """A code that is trained first. file: a config file with its variant. settings: laid over it in `config`. stated:
    the setting that states it, for sentences."""

    file: str
    settings: dict[str, Any]
    config: ConfigDict
    stated: str


def variants_of(config: ConfigDict) -> dict[str, Variant]:
    """Those of `config.variants` that `config.runs` names no folder of. Raises `UserError`."""
    return {
        name: variant_of(name, text) for name, text in config.variants.items() if text.strip() and not config.runs[name]
    }


def variant_of(name: str, text: str) -> Variant:
    """The code that a text "FILE:VARIANT KEY=VALUE …" states. Raises `UserError` for a config file or a variant that
    does not exist, a setting that it does not have or that all codes share, a value of another type, or a kind without
    a code of the image alone."""
    file, *words = text.split()
    where = f"config.variants.{name}={text!r}"
    first, colon, variant = file.partition(":")
    file = f"configs/{first}.py{colon}{variant}"
    with naming(where):
        config = load_config(file)
    if config.kind not in SECTIONS:
        raise UserError(f"{where} is of kind {config.kind!r}; expected a config of {' or '.join(map(repr, SECTIONS))}")
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in set(flat(config)) - {"kind"} or isinstance(config[key], ConfigDict):
            raise UserError(f"{where}: {word!r} is no KEY=VALUE with a setting of {file}")
        if key == "train.seed" or key.startswith("data."):
            shared = "config.codes.seed" if key == "train.seed" else f"config.{key}"
            raise UserError(f"{where}: {key} is {shared}, the same for all codes; leave it out")
        settings[key] = _value(value, is_text=isinstance(config[key], str))
        try:
            config.update_from_flattened_dict({key: settings[key]})
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {word!r}; expected a value like {value_of(plain(config), key)!r}") from error
    if config.kind == AUTOENCODER and config.model.get("conditional"):
        raise UserError(f"{where} {CONDITIONAL}; choose another variant")
    if config.kind == AUTOENCODER and any((config.get("ensemble") or {}).values()):
        raise UserError(f"{where} is an ensemble; expected a single run, such as that of one value in each list")
    return Variant(file, settings, config, where)


def _value(text: str, is_text: bool) -> Any:
    """The value that a text stands for. is_text: that of a setting that is a text, such as "0,1" of a list of seeds."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    return text if is_text and not isinstance(value, str) else value


def build_codes(config: ConfigDict, folder: str = "") -> CodesExperiment:
    """Checks every setting, loads the data, the runs and what is fitted to the data. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_codes(config)
    data = load(config.data, folder)
    runs = tuple(load_run(name, where, data, config.codes) for name, where in config.runs.items() if where)
    codes = tuple(codes_of(config, data, runs))
    if not codes:  # as of principal components of images with fewer pixels
        raise UserError(NO_CODE.format(config.codes.baselines))
    return CodesExperiment(config, data, runs, codes)
