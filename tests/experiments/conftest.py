"""What the tests of several files look at, made once."""

import pytest
from launching import ROOT

import launch

TINY = {"data.name": "sparse", "model.latents": 3, "model.channels": 4, "train.num_steps": 6, "train.batch_size": 8}


@pytest.fixture(scope="session")
def space(tmp_path_factory):
    """The workdir of a barely trained VAE of sprites, with its encodings. Tests that change it take a copy."""
    path = tmp_path_factory.mktemp("spaces") / "space"
    flags = [f"--config={ROOT}/configs/autoencoder.py:vae-16", f"--workdir={path}", "--jobs=train,encode"]
    settings = [f"--config.{name}={value}" for name, value in TINY.items()]
    assert launch.main(["launch.py", *flags, *settings]) == 0
    return path
