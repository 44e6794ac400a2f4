"""What each choice of probes and chains reads."""

from collections.abc import Iterable, Mapping
from typing import Any

from vdm_jax.experiments.common.build import DATA, NOISE, by_data
from vdm_jax.experiments.common.space.settings import SPACE_CHOICES
from vdm_jax.experiments.probes.samplers import LATENT_NET, MODEL, NET, READERS
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.settings import value_of
from vdm_jax.probing.nets import NETS

OF_CHAINS = ("every", "num_chains", "num_validation", "num_test", "batch_size", "backward", "real_or_generated", "seed")
OF_NETS = ("chains.reader_images", "chains.reader_steps")
OF_THE_MODEL = ("chains.model", "chains.checkpoint")
OWN_HIDDEN = {"hidden": "chain_probes.real_or_generated_hidden"}
FORMS = (NAME, NAME_AND_STEPS, OF_MODEL) = ("NAME", "NAME:STEPS", f"{MODEL}NAME")  # of what `samplers` lists


def samplers(section: str, always: tuple[str, ...]) -> Choice:
    """What the samplers of a section read: `always` where there is one, and what its form asks for."""
    setting = f"{section}.samplers"
    own = {NAME: (f"{section}.num_steps",), NAME_AND_STEPS: (), OF_MODEL: OF_THE_MODEL}

    def of_list(settings: Mapping[str, Any]) -> Iterable[str]:
        found = []
        for text in filter(None, map(str.strip, value_of(settings, setting).split(","))):
            found += [NAME_AND_STEPS if ":" in text else NAME] + [OF_MODEL] * text.startswith(MODEL)
        return found or [""]

    return Choice(setting, {form: (*always, *own[form]) for form in FORMS} | {"": ()}, of_list)


def readers(settings: Mapping[str, Any]) -> Iterable[str]:
    """The readers of `chains.readers`."""
    return map(str.strip, value_of(settings, "chains.readers").split(","))


def net(setting: str, names: Mapping[str, str]) -> Choice:
    """What a net reads. names: of its settings that are not of the section `probe`."""
    reads = {name: tuple(names.get(each, f"probe.{each}") for each in kind.takes) for name, kind in NETS.items()}
    return Choice(setting, reads)


PROBE_CHOICES = (
    DATA,
    NOISE,
    *SPACE_CHOICES,
    samplers("chains", ()),
    Choice(
        "chains.readers",
        dict.fromkeys(READERS, ()) | dict.fromkeys((NET, LATENT_NET), OF_NETS),
        readers,
    ),
    samplers("chain_probes", tuple(f"chain_probes.{name}" for name in OF_CHAINS)),
    Choice(
        "chain_probes.real_or_generated",
        {
            "True": tuple(f"chain_probes.real_or_generated_{name}" for name in ("net", "updates", "learning_rate")),
            "False": (),
        },
    ),
    net("chain_probes.real_or_generated_net", OWN_HIDDEN),
    net("probe.net", {}),
    Choice("probe.warm_start", {"True": ("probe.warm_updates",), "False": ()}),
    by_data(("probe.targets",), ()),  # of features with values, which are those of sprites
)
