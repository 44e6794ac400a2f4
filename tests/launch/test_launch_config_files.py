"""Config files that fail: whatever a program of the user raises or returns, it is one sentence."""

import pathlib

import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import flags

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = "from vdm_jax.configs.{0} import get_config as base\n\n\ndef get_config(variant=''):\n    config = base()\n"


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def parse(*arguments) -> flags.Arguments:
    return flags.parse(["launch.py", *map(str, arguments)], KINDS)


CONFIGS = {  # a config file, and what is said
    "raise RuntimeError('mine')": "the config file cannot be run: {}: RuntimeError: mine",
    "import nothing_of_this_name": "the config file cannot be run: {}: ModuleNotFoundError: No module named",
    "import sys; sys.exit(3)": "the config file cannot be run: {}: SystemExit: 3",
    "def get_config(variant=''):\n    return {}['train']": "get_config raises KeyError: 'train'",
    "def get_config(variant=''):\n    return {'name': 'mine'}": "get_config(variant) returns dict; expected an ml_col",
    "get_config = 3": "{} has no get_config(variant)",
    OWN.format("digits") + "    del config.name\n    return config": "the config has no 'name'; expected a text",
    OWN.format("digits") + "    del config.kind\n    return config": "the config has no 'kind'; expected a text",
    OWN.format("digits") + "    config.kind = 'mine'\n    return config": "config.kind='mine'; expected one of",
    OWN.format("digits") + "    del config.train\n    return config": "kind 'vae_vdm' has no section 'train'; start",
    OWN.format("digits") + "    config.train.num_steps = 'x'\n    return config": "get_config raises TypeError: ",
    "\x00": "the config file cannot be run: {}: ",
}


@pytest.mark.parametrize("text", CONFIGS, ids=lambda text: text[-40:])
def test_a_config_file_that_fails(tmp_path, text):
    """Whatever a program of the user raises or returns."""
    file = tmp_path / "mine.py"
    file.write_text(text.replace("config = base()", "config = base().unlock()"))
    with pytest.raises(UserError) as caught:
        parse(f"--config={file}")
    assert CONFIGS[text].format(file) in str(caught.value) and len(str(caught.value).splitlines()) == 1
