"""Settings without effect: refused where they are set, named where a config file holds them, passed where they are not
new."""

import pytest
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.launch.choices import Choice, check_typed, refuse_unread, unread

CHOICES = (
    Choice("code.encoder", {"big": ("code.width", "code.mode"), "small": ("code.width", "code.mode"), "none": ()}),
    Choice("code.mode", {"fixed": ("code.beta",), "target": ("code.nats",), "free": ()}),
    Choice("noise", {"line": ("low", "high", "not_of_this_config"), "curve": ("bend",), "flat": ()}),
    Choice("nets", {"wide": ("size",), "deep": ("size", "depth")}, of=lambda settings: settings["nets"].split(",")),
    Choice("other_net", {"wide": ("size",), "linear": ()}),
)


def config(**settings) -> ConfigDict:
    code = dict(encoder="big", width=8, mode="fixed", beta=1.0, nats=10.0)
    found = ConfigDict(
        dict(kind="toy", code=code, noise="line", low=-8.0, high=5.0, bend=None, nets="wide", size=3, depth=2)
    )
    found.other_net = "linear"
    found.update_from_flattened_dict({name.replace("__", "."): value for name, value in settings.items()})
    return found


def refused(name: str, **settings) -> str:
    with pytest.raises(UserError) as told:
        refuse_unread(CHOICES, config(**settings), config(), [name])
    return str(told.value)


def test_what_is_read_follows_from_the_choices_in_force():
    assert unread(CHOICES, config()) == ["bend", "code.nats", "depth"]
    assert unread(CHOICES, config(code__mode="target")) == ["bend", "code.beta", "depth"]
    assert unread(CHOICES, config(code__encoder="none", noise="flat")) == [
        "bend", "code.beta", "code.mode", "code.nats", "code.width", "depth", "high", "low",
    ]  # fmt: skip


def test_one_of_several_choices_is_enough():
    assert "size" not in unread(CHOICES, config(nets="deep,wide"))
    assert "depth" not in unread(CHOICES, config(nets="wide,deep"))
    assert "size" not in unread(CHOICES[4:], config(other_net="wide"))
    assert unread(CHOICES[4:], config(other_net="linear")) == ["size"]


def test_a_value_that_nothing_declares_reads_everything():
    """The kind's own check names the values there are."""
    assert unread(CHOICES, config(noise="lien")) == ["code.nats", "depth"]


def test_the_sentence_names_the_setting_the_choice_and_the_ways_out():
    assert refused("code.nats", code__nats=5.0) == (
        "config.code.nats=5.0 has no effect with code.mode='fixed', which reads code.beta; it is read with "
        "code.mode=target"
    )
    assert refused("bend", bend=1, noise="flat") == (
        "config.bend=1 has no effect with noise='flat', which reads no setting of its own; it is read with noise=curve"
    )
    assert refused("low", low=1.0, noise="curve").endswith(
        "with noise='curve', which reads bend; it is read with noise=line"
    )


def test_the_sentence_names_the_choice_at_the_root():
    told = refused("code.nats", code__nats=5.0, code__encoder="none")
    assert told.startswith("config.code.nats=5.0 has no effect with code.encoder='none', which reads no setting of its")
    assert told.endswith("it is read with code.mode=target where code.encoder=big or small")
    assert refused("code.mode", code__mode="target", code__encoder="none").endswith(
        "it is read with code.encoder=big or small"
    )


def test_what_is_not_new_is_named_and_not_refused(capsys):
    """Typed as it is in the file, or in the config.json of the workdir: the command that made it is typed again."""
    check_typed(CHOICES, config(), config(), ["code.nats"])
    assert capsys.readouterr().out == "config: code.mode='fixed' does not read code.nats\n"
    before = config(code__nats=3.0)
    check_typed(CHOICES, before, before, [])
    assert capsys.readouterr().out == "", "what a workdir holds is passed over"


def test_what_the_file_sets_is_named_where_a_typed_choice_leaves_it_out(capsys):
    check_typed(CHOICES, config(noise="curve", code__encoder="none"), config(), ["noise", "code.encoder"])
    assert capsys.readouterr().out == (
        "config: code.encoder='none' does not read code.beta, code.mode and code.width; "
        "noise='curve' does not read high and low\n"
    )
    check_typed(CHOICES, config(noise="curve", bend=2), config(), ["noise", "bend"])
    assert capsys.readouterr().out == "config: noise='curve' does not read high and low\n"


def test_a_setting_that_no_choice_lists_is_always_read(capsys):
    check_typed(CHOICES, config(code__encoder="small", noise="line"), config(), ["code.encoder", "noise"])
    assert capsys.readouterr().out == ""
