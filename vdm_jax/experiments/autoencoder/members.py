"""The members of an ensemble: the runs that the lists of `config.ensemble` make of one config."""

import itertools
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.names import describe, short_names

LISTS = {  # of config.ensemble: the setting that members differ in, and the type of its values
    "seeds": ("train.seed", int),
    "beta": ("rate.beta", float),
    "lambda_od": ("regulariser.lambda_od", float),
    "learning_rate": ("train.learning_rate", float),
}
TYPES = {int: "whole numbers", float: "numbers"}


def members_of(config: ConfigDict) -> dict[str, ConfigDict]:
    """The config of each member by its name, such as "seed=0,beta=4": all combinations of the lists, which it has
    emptied. {} without lists: the run itself. Raises `UserError`.

    The name in the config stays: tables average over runs of one name that differ in their seeds alone.
    """
    lists = {setting: read_list(config, name) for name, (setting, _) in LISTS.items() if config.ensemble[name]}
    if not lists:
        return {}
    short, members = short_names(setting for setting, _ in LISTS.values()), {}
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        name = describe(chosen, short)
        own = config.copy_and_resolve_references()
        own.update_from_flattened_dict(chosen | {f"ensemble.{each}": "" for each in LISTS})
        members[name] = own
    if len(members) == 1:
        typed = " ".join(f"--config.{setting}={values[0]}" for setting, values in lists.items())
        raise UserError(f"config.ensemble lists a single run; set its values themselves: {typed}")
    return members


def read_list(config: ConfigDict, name: str) -> list[Any]:
    """The values of a list of `config.ensemble`. Raises `UserError` for a mistyped list, and for equal values."""
    text, (setting, kind) = config.ensemble[name], LISTS[name]
    expected = f"expected {TYPES[kind]} for config.{setting} with commas, such as {name}=0,1,2"
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"config.ensemble.{name}={text!r}; {expected}") from None
    if len(set(values)) < len(values):
        raise UserError(f"config.ensemble.{name}={text!r} has equal values; each member needs its own")
    return values
