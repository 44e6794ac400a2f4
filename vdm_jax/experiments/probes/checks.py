"""Checks of the settings of probes and chains: every mistake is found before a job starts."""

import math

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.exact import check_exact
from vdm_jax.experiments.common.populations import check_classes
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.common.trained_model import check_trained
from vdm_jax.experiments.probes.samplers import IN_A_SPACE, READERS, SPRITE, chosen_readers, chosen_samplers
from vdm_jax.probing.heads import MEMBERS, TARGETS
from vdm_jax.probing.nets import NETS, reads_sprites
from vdm_jax.probing.normality import CORRECTIONS

NUMBERS = (
    ("at least 2", lambda value: value >= 2, "chains.num_queries"),
    (
        "at least 1",
        lambda value: value >= 1,
        "chains.batch_size chains.every chains.reader_images chains.reader_steps probe.num_seeds probe.batch_size "
        "probe.num_updates probe.updates_per_round probe.patience probe.num_templates probe.num_examples "
        "probe.num_validation probe.num_test probe.at_once probe.warm_updates chain_probes.every "
        "chain_probes.batch_size chain_probes.num_chains chain_probes.real_or_generated_updates",
    ),
    (
        "a number above 0",
        lambda value: 0 < value < math.inf,
        "chains.far probe.learning_rate probe.memory_gib probe.shortfall chain_probes.real_or_generated_learning_rate",
    ),
    (*SEED, "chains.seed probe.seed chain_probes.seed"),
)
OF_NORMALITY = (
    ("at least 100", lambda value: value >= 100, "normality.num_images"),
    ("at least 1,000", lambda value: value >= 1_000, "normality.num_samples"),
    ("at least 1", lambda value: value >= 1, "normality.num_components"),
    ("at least 0", lambda value: value >= 0, "normality.num_histograms"),
    ("a number between 0 and 1", lambda value: 0 < value < 1, "normality.level"),
    (*SEED, "normality.seed"),
)


def check_population(config: ConfigDict, data: Dataset) -> None:
    """Raises `UserError` for images without two classes, and for nets that read the pixels of sprites with other
    data."""
    check_classes(data)
    if data.grid is not None:
        return
    others = [net for net in NETS if not reads_sprites(net)]
    nets = {"probe.net": config.probe.net}
    if config.chain_probes.samplers and config.chain_probes.real_or_generated:
        nets["chain_probes.real_or_generated_net"] = config.chain_probes.real_or_generated_net
    for setting, net in nets.items():
        if net in NETS and reads_sprites(net):
            reads = "matches templates of sprites, which these data are not"
            raise UserError(f"config.{setting}={net!r} {reads}; expected one of {others}")


def check_nets(setting: str, net: str, space: EncodedSpace | None) -> None:
    """Raises `UserError` for a net of `config.SETTING` that does not fit the space: in a space, nets that match the
    pixels of sprites, and convolutions of vectors."""
    if space is None or net not in NETS:
        return
    fitting = [name for name in NETS if not reads_sprites(name) and (name != "conv" or len(space.shape) == 3)]
    if net not in fitting:
        reads = "matches pixels" if reads_sprites(net) else "needs height, width and channels"
        where = f"the latents of config.space.workdir have shape {list(space.shape)}"
        raise UserError(f"config.{setting}={net!r} {reads}, and {where}; expected one of {fitting}")


def check_readers(chains: ConfigDict, data: Dataset, space: EncodedSpace | None) -> None:
    """Raises `UserError` for a reader that these data or pixels do not have."""
    for reader in chosen_readers(chains):
        if reader in IN_A_SPACE and space is None:
            others = [name for name in READERS if name not in IN_A_SPACE]
            raise UserError(f"config.chains.readers: {reader!r} reads latents; in pixels expected any of {others}")
        if reader == SPRITE and data.grid is None:
            others = [name for name in READERS if name != SPRITE]
            raise UserError(f"config.chains.readers: {SPRITE!r} reads sprites; for {data.name!r} any of {others}")


def check_chains(chains: ConfigDict, num_steps: int) -> None:
    """Raises `UserError` for an unknown name, a number out of range, or too many steps."""
    for reader in chosen_readers(chains):
        choose("reader of config.chains.readers", reader, READERS)
    if not check_chosen("chains", chains, num_steps):
        raise UserError("config.chains.samplers is empty; expected NAME or NAME:STEPS, such as exact or ddim:50")


def check_model(config: ConfigDict) -> None:
    """Raises `UserError` where samplers need a model that is not named, or as `check_trained`."""
    samplers = chosen_samplers(config.chains) | chosen_samplers(config.chain_probes)
    of_model = [text for text, chosen in samplers.items() if chosen.trained]
    if of_model and not config.chains.model:
        raise UserError(f"sampler {of_model[0]!r} needs config.chains.model, the workdir of a trained diffusion model")
    if of_model:
        check_trained(config.chains.model, config, in_space=bool(config.space.workdir or config.space.train))


def check_chain_probes(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range or an unknown name."""
    own, num_steps = config.chain_probes, config.diffusion.num_steps
    check_numbers(config, NUMBERS)
    check_chosen("chain_probes", own, num_steps)
    if own.samplers and not (own.backward or own.real_or_generated):
        both = "config.chain_probes.backward and config.chain_probes.real_or_generated are both False"
        raise UserError(f"{both}; expected one of them to be True, or no config.chain_probes.samplers")
    for name in ("num_validation", "num_test"):
        if own.samplers and own[name] < config.probe.batch_size:
            given = f"config.chain_probes.{name}={own[name]}"
            raise UserError(f"{given}; expected at least config.probe.batch_size={config.probe.batch_size}")
    choose("config.chain_probes.real_or_generated_net", own.real_or_generated_net, NETS)
    check_widths("chain_probes.real_or_generated_hidden", own.real_or_generated_hidden)
    check_model(config)


def check_chosen(section: str, settings: ConfigDict, num_steps: int) -> int:
    """The number of samplers. Raises `UserError` for an unknown one, or one of no or too many steps."""
    samplers = chosen_samplers(settings)
    for text, chosen in samplers.items():
        if not 1 <= chosen.num_steps <= num_steps:
            given = f"config.{section}.samplers: {text!r} has {chosen.num_steps} steps"
            raise UserError(f"{given}; expected 1 to {num_steps}")
    return len(samplers)


def check_settings(config: ConfigDict) -> None:
    """`Kind.check`: what can be judged without the data and the space. Raises `UserError`."""
    check_exact(config)
    check_chains(config.chains, config.diffusion.num_steps)
    check_chain_probes(config)
    check_normality(config)
    choose("config.probe.net", config.probe.net, NETS)
    choose("config.probe.members", config.probe.members, dict.fromkeys(MEMBERS))
    choose("config.probe.targets", config.probe.targets, TARGETS)
    check_widths("probe.hidden", config.probe.hidden)


def check_window(probe: ConfigDict, data: Dataset) -> None:
    """Raises `UserError` for templates that are larger than the sprites."""
    side = min(data.shape[:2])
    if data.grid is not None and not 1 <= probe.window <= side:
        raise UserError(f"config.probe.window={probe.window}; expected 1 … {side}, the side of the images")


def check_normality(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range or an unknown correction."""
    check_numbers(config, OF_NORMALITY)
    choose("config.normality.correction", config.normality.correction, CORRECTIONS)


def check_widths(setting: str, widths: tuple[int, ...]) -> None:
    """Raises `UserError` for no widths, or one that is no whole number of at least 1."""
    if not widths or not all(isinstance(width, int) and width >= 1 for width in widths):
        raise UserError(f"config.{setting}={tuple(widths)}; expected widths of at least 1")
