"""Every setting is checked before a job starts: a mistake in a later job must not cost a training first."""

import math
from collections.abc import Callable

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose, suggestion
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.samplers import SPACINGS
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.evals.inception_weights import read_weights
from vdm_jax.experiments.common.checkpoints import WEIGHTS
from vdm_jax.experiments.common.train import DECAYS
from vdm_jax.train.loop import check_intervals
from vdm_jax.train.optimizer import SCHEDULES
from vdm_jax.train.writers import names_of

NAMES = {
    "train.learning_rate_schedule": SCHEDULES,
    "train.decay": DECAYS,
    "evaluate.weights": WEIGHTS,
    "sample.grid": SPACINGS,
}

LOG_SNRS = "diffusion.gamma_min diffusion.gamma_max rate.high_noise_logsnr diffusion.band_low diffusion.band_high"
FEWEST = 10  # images that are enough for t-SNE and for nearest neighbours
SEED = ("a seed from 0 to 2^31 - 1", lambda value: 0 <= value < 2**31)

# (the expectation in words, its test, settings); a setting without a value is not checked.
NUMBERS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    (
        "at least 1",
        lambda value: value >= 1,
        "data.downsample data.size model.unet.num_heads model.unet.patch rate.warmup_steps rate.cycle_steps "
        "train.batch_size train.accumulate train.steps_per_call "
        "train.log_every train.eval_every train.checkpoint_every train.keep_latest train.eval_passes "
        "train.max_skipped_in_a_row evaluate.passes evaluate.batch_size evaluate.curve_images evaluate.curve_passes "
        "sample.batch_size",
    ),
    (
        "1 to 1,000,000",  # float32 times of more steps are no longer distinct
        lambda value: 1 <= value <= 1_000_000,
        "diffusion.num_steps rate.prior_steps sample.num_steps sample.num_images sample.guided_sources "
        "sample.guided_per_source",
    ),
    ("2 to 1,000,000", lambda value: 2 <= value <= 1_000_000, "evaluate.curve_points"),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.unet.channels rate.prior_width"),
    ("1 to 65,536, or model.encoder='none' for no code", lambda value: 1 <= value <= 65_536, "model.w_dim"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.unet.num_blocks rate.prior_blocks"),
    ("at least 2", lambda value: value >= 2, "data.num_levels"),
    ("at least 1, or unset for a tenth", lambda value: value >= 1, "data.validation_size data.test_size"),
    ("1 or 3", lambda value: value in (1, 3), "data.channels"),
    (
        "at least 0",
        lambda value: value >= 0,
        "train.warmup_steps train.keep_best train.eval_images evaluate.frechet_images evaluate.fid_reference_images",
    ),
    (f"0 for all, or at least {FEWEST}", lambda value: value == 0 or value >= FEWEST, "evaluate.num_images"),
    (f"at least {FEWEST}", lambda value: value >= FEWEST, "evaluate.probe_images"),
    (*SEED, "train.seed evaluate.seed sample.seed"),
    (
        "a number above 0",
        lambda value: 0 < value < math.inf,
        "data.max_gib rate.target_nats rate.high_noise_weight train.learning_rate",
    ),
    (
        "a number not below 0",
        lambda value: 0 <= value < math.inf,
        "sample.guidance rate.beta rate.free_bits_nats rate.mmd_weight rate.mmd_beta train.weight_decay train.clip",
    ),
    (
        "a number from 0 to below 1",
        lambda value: 0 <= value < 1,
        "model.dropout model.encoder_dropout model.label_dropout rate.w_dropout train.b1 train.b2 train.ema_decay",
    ),
    ("a time from 0 to 1", lambda value: 0 <= value <= 1, "evaluate.code_time"),
    # exp of larger numbers overflows float32.
    ("a number from -80 to 80", lambda value: abs(value) <= 80, LOG_SNRS),
    (
        "-30 to 30",
        lambda value: abs(value) <= 30,
        "model.unet.fourier_min model.unet.fourier_max",
    ),
)


def check_settings(config: ConfigDict, fewest_steps: int = 1) -> None:
    """Raises `UserError` for a number out of range, an unknown name or an unusable file, for all jobs.

    fewest_steps: of a training; 0 where an untrained model may be evaluated.
    """
    for setting, choices in NAMES.items():
        section, _, name = setting.partition(".")
        if name in (config.get(section) or {}):
            choose(f"config.{setting}", _value(config, setting), choices)
    if "sampler" in (config.get("sample") or {}):  # a decoder has none, a denoising autoencoder draws no samples
        method_of(config.sample.sampler, "config.sample.sampler")
    check_numbers(config, NUMBERS)
    least = f"at least {fewest_steps}"
    check_numbers(config, ((least, lambda value: value >= fewest_steps, "train.num_steps"),))
    names_of(config.train.get("writers", ""))
    checkpoint = config.evaluate.checkpoint
    check_checkpoint("config.evaluate.checkpoint", checkpoint)
    if str(checkpoint).isdecimal() and float(checkpoint) > config.train.num_steps:
        end = f"expected 'best', 'latest' or a step up to config.train.num_steps={config.train.num_steps}"
        raise UserError(f"config.evaluate.checkpoint={checkpoint}; {end}")
    if config.evaluate.get("inception"):
        try:
            read_weights(config.evaluate.inception)
        except UserError as error:
            raise UserError(f"config.evaluate.inception: {error}") from error
    train = config.train
    intervals = ("log_every", "eval_every", "checkpoint_every")
    intervals = ("num_steps", *intervals) if train.num_steps != 0 else intervals
    lengths = {name: train[name] for name in intervals}
    check_intervals(train.steps_per_call, lengths, start=0)


def check_checkpoint(setting: str, checkpoint: str | int) -> None:
    """Raises `UserError` for what names no checkpoint. setting: that holds it."""
    if checkpoint not in ("best", "latest") and not str(checkpoint).isdecimal():
        near = suggestion(str(checkpoint), ["best", "latest"])
        raise UserError(f"{setting}={checkpoint!r}; expected 'best', 'latest' or a step{near}")


def check_numbers(config: ConfigDict, numbers: tuple[tuple[str, Callable[[float], bool], str], ...]) -> None:
    """Raises `UserError` for a number outside of the range in `numbers`; settings that a kind lacks are skipped."""
    for expected, holds, settings in numbers:
        for setting in settings.split():
            value = _value(config, setting)
            if value is not None and not holds(value):
                raise UserError(f"config.{setting}={value}; expected {expected}")


def check_data(data: Dataset, evaluate: ConfigDict) -> None:
    """Raises `UserError` for a split with fewer images than an evaluation needs, and for images whose channels the
    Inception network of `config.evaluate.inception` does not take."""
    for name in ("train", "test"):
        if (number := len(getattr(data, name))) < FEWEST:
            raise UserError(f"data {data.name!r} have {number} {name} images; expected at least {FEWEST}: add some")
    if evaluate.get("inception") and data.shape[2] not in (1, 3):
        takes = f"InceptionV3 takes images of 1 or 3 channels, and those of {data.name!r} have {data.shape[2]}"
        raise UserError(f"config.evaluate.inception={evaluate.inception}: {takes}; leave it unset")


def check_batch(train: ConfigDict, num_images: int, num_devices: int, at_least: int = 1) -> None:
    """Raises `UserError` for a batch larger than the data, for one that devices and micro-batches do not divide, and
    for a micro-batch of fewer than `at_least` images."""
    batch_size, parts = train.batch_size, train.accumulate * num_devices
    if batch_size > num_images:
        raise UserError(f"config.train.batch_size={batch_size}; there are {num_images} training images")
    if batch_size % parts:
        given = f"config.train.batch_size={batch_size} does not divide by {parts}"
        raise UserError(f"{given}, the devices ({num_devices}) times config.train.accumulate ({train.accumulate})")
    if batch_size < at_least * train.accumulate:
        given = f"config.train.batch_size={batch_size} in {train.accumulate} part(s) (config.train.accumulate)"
        raise UserError(f"{given}; this rate.mode compares the codes of at least {at_least} images in each")


def _value(config: ConfigDict, setting: str):
    for name in setting.split("."):
        config = None if config is None else config.get(name)
    return config
