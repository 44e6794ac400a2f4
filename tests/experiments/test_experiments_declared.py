"""What each choice reads, as declared, is what the code reads; config files set nothing that none of them reads."""

import re
from importlib import import_module

import numpy as np
import pytest
from launching import ROOT
from reading import DECIDES_ITSELF, settings_read
from vdm_jax.configs import autoencoder, base, checkpoints, ddpm, digits, latent_diffusion, mnist, probes

from vdm_jax.base.errors import UserError
from vdm_jax.base.space import pixel_space
from vdm_jax.data.sources import SOURCES, load_data
from vdm_jax.diffusion.schedules import SCHEDULES, make_schedule
from vdm_jax.experiments.common import build
from vdm_jax.experiments.common.autoencoders import MODES, REGULARISERS, make_autoencoder
from vdm_jax.experiments.common.models import make_model
from vdm_jax.experiments.common.networks import NETWORKS, PIXEL_NETWORKS
from vdm_jax.experiments.common.rates import NO_LEARNED_PRIOR, PRIORS, SETTINGS
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.choices import refuse_unread, unread
from vdm_jax.launch.config_files import flat
from vdm_jax.models.vq import UPDATES as VQ_UPDATES
from vdm_jax.networks.autoencoder import BACKBONES
from vdm_jax.networks.gamma import LEARNED_GAMMAS
from vdm_jax.networks.latent_mlp import LATENT_MLPS
from vdm_jax.networks.sizes import ENCODER_SIZES

FILES = [import_module(f"vdm_jax.configs.{path.stem}") for path in sorted((ROOT / "configs").glob("[!_]*.py"))]
OF_A_KIND = {"vae_vdm": base, "exact": probes}  # the file with the defaults of a kind; of others it has the same name
OF_A_KIND |= {kind: file for file in FILES for kind in KINDS if file.__name__.endswith(f".{kind}")}
LATER = {"reconstruction.inception"}  # read by the training
OF_A_MODEL = ("model.", "diffusion.", "rate.")


def listed(kind) -> set[str]:
    return {name for choice in kind.choices for name in choice.listed}


def config_of(file, **settings):
    config = file.get_config()
    config.update_from_flattened_dict(settings)
    return config


CODES = [{"model.encoder": size, "model.w_dim": None} for size in ENCODER_SIZES]
CODES += [{"model.encoder": name} for name in ("control", "none")]
CODES += [{"model.encoder": "none", "model.equal_capacity": True}]
CODES += [{"model.encoder": "digits", "model.equal_capacity": True}]
SCORE = {"diffusion.loss": "conditional_score"}
CODES += [SCORE, SCORE | {"model.labels": True}, SCORE | {"model.encoder": "none", "model.labels": True}]
CODES += [SCORE | {"model.deterministic": True, "rate.mode": "none"}, SCORE | {"model.encoder_time": True}]
RATES = [{"rate.mode": mode} for mode in SETTINGS]
RATES += [
    {"rate.prior": prior, "rate.mode": mode} for prior in PRIORS for mode in SETTINGS if mode not in NO_LEARNED_PRIOR
]
NOISES = [{"diffusion.schedule": name, "diffusion.num_steps": 40} for name in LEARNED_GAMMAS]
NOISES += [
    {"diffusion.schedule": name, "diffusion.num_steps": 40} for name in SCHEDULES if not make_schedule(name).no_bound
]
TABLES = [{"diffusion.schedule": name} for name in SCHEDULES if make_schedule(name).num_steps]


def sizes(section: str, networks=NETWORKS) -> list[dict]:
    return [
        {f"{section}.network": name, f"{section}.size": size}
        for name, network in networks.items()
        for size in list(network.sizes)[-1:]
    ]


ATTENTION = [{"model.network": "multiscale", "model.attention": sides} for sides in ((), (4,))]
MODELS = [(digits, settings) for settings in (*CODES, *RATES, *NOISES, *sizes("model.unet"))]
MODELS += [
    (ddpm, settings | {"data.source": "digits", "diffusion.target": "eps"})
    for settings in [*TABLES, *sizes("model", PIXEL_NETWORKS), *ATTENTION]
]


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


@pytest.mark.parametrize(
    ("file", "settings"), MODELS, ids=lambda value: "-".join(map(str, getattr(value, "values", str)()))
)
def test_a_model_reads_what_its_choices_declare(file, settings, data):
    config = config_of(file, **settings)
    kind = KINDS[config.kind]
    with settings_read() as read:
        make_model(config, data)
    governed = {name for name in listed(kind) & set(flat(config)) if name.startswith(OF_A_MODEL)} - DECIDES_ITSELF
    assert read & governed == governed - set(unread(kind.choices, config))


LATENTS = [({"model.network": name}, (4,)) for name in LATENT_MLPS]
LATENTS += [({"model.network": name, "model.size": "digits"}, (4, 4, 2)) for name in NETWORKS]
LATENTS += [({"model.network": "multiscale", "model.attention": sides}, (4, 4, 2)) for sides in ((), (4,))]
LATENTS += [(settings | {"model.network": "mlp"}, (4,)) for settings in NOISES + TABLES]


@pytest.mark.parametrize(("settings", "shape"), LATENTS, ids=str)
def test_a_model_of_latents_reads_what_its_choices_declare(settings, shape, data):
    config, kind = config_of(latent_diffusion, **settings), KINDS["latent_diffusion"]
    with settings_read() as read:
        make_model(config, data, pixel_space(shape, np.array([-1.0, 1.0])))
    governed = {name for name in listed(kind) & set(flat(config)) if name.startswith(OF_A_MODEL)} - DECIDES_ITSELF
    assert read & governed == governed - set(unread(kind.choices, config))


AE = {"data.source": "digits", "model.likelihood": "gaussian"}
CODED = [{}, {"model.sigma": 0.1}, {"model.code": "deterministic"}, {"model.likelihood": "levels"}]
CODED += [{"model.code": "quantised", "model.backbone": "conv", "quantiser.codebook": by} for by in VQ_UPDATES]
CODED += [{"model.backbone": name} for name in BACKBONES] + [{"rate.mode": mode} for mode in MODES]
CODED += [{"regulariser.name": name} for name in REGULARISERS]
CODED += [{"reconstruction.loss": "l1", "reconstruction.perceptual": 1.0}]


@pytest.mark.parametrize("settings", CODED, ids=lambda value: "-".join(map(str, value.values())))
def test_an_autoencoder_reads_what_its_choices_declare(settings, data):
    config, kind = config_of(autoencoder, **AE | settings), KINDS["autoencoder"]
    with settings_read() as read:
        make_autoencoder(config, data)
    sections = ("model.", "quantiser.", "regulariser.", "rate.", "reconstruction.")
    governed = {name for name in listed(kind) & set(flat(config)) if name.startswith(sections)} - LATER
    left_out = set(unread(kind.choices, config))
    assert not read & left_out - LATER and governed - left_out <= read


@pytest.mark.parametrize("source", SOURCES)
def test_data_are_read_by_what_their_source_declares(source, data, monkeypatch):
    monkeypatch.setattr(build, "_load", lambda *_: data)
    monkeypatch.setattr(build, "locate", lambda *_: None)
    config = config_of(base, **{"data.source": source})
    with settings_read() as read:
        build.load(config.data)
    governed = {name for name in listed(KINDS["vae_vdm"]) & set(flat(config)) if name.startswith("data.")}
    assert read & governed == governed - set(unread(KINDS["vae_vdm"].choices, config))
    assert {"data.source", "data.name"} <= read


@pytest.mark.parametrize("kind", KINDS)
def test_declared_names_are_settings_and_every_choice_leaves_something_out(kind):
    config = next(config for config in (file.get_config() for file in FILES) if config.kind == kind)
    choices, names = KINDS[kind].choices, set(flat(config))
    assert {choice.setting for choice in choices} <= names
    everywhere = {name for file in FILES for name in flat(file.get_config())}
    assert listed(KINDS[kind]) <= everywhere
    for choice in choices:
        assert any(set(own) < choice.listed for own in choice.reads.values()), f"{choice.setting} decides nothing"


def configs_of(file):
    """The config of each variant; of probes also with chains to train on, whose settings the grids hold ready."""
    for variant in ["", *getattr(file, "VARIANTS", ())]:
        yield file.get_config(variant)
        if file in (probes, checkpoints):
            config = file.get_config(variant)
            config.chain_probes.samplers = "exact,ddim:20"
            yield config


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_what_a_config_file_sets_is_read_by_one_of_its_variants(file):
    """A value that no variant reads has no effect anywhere."""
    values_set, values_read = set(), set()
    for config in configs_of(file):
        kind, default = KINDS[config.kind], OF_A_KIND[config.kind].get_config()
        values = {name: repr(value_of(config, name)) for name in listed(kind) & set(flat(config))}
        values_set |= {(name, value) for name, value in values.items() if value != repr(value_of(default, name))}
        values_read |= values.items() - {(name, values[name]) for name in unread(kind.choices, config)}
    assert not values_set - values_read


def value_of(config, name):
    for part in name.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize("file", [file for file in FILES if hasattr(file, "get_sweep")], ids=lambda file: file.__name__)
def test_members_of_a_sweep_read_what_they_set(file):
    for member in file.get_sweep():
        overrides = {name: value for name, value in member.items() if name != "variant"}
        before, config = (file.get_config(member.get("variant", "")) for _ in range(2))
        config.update_from_flattened_dict(overrides)
        refuse_unread(KINDS[config.kind].choices, config, before, overrides)


# (settings, the one that has no effect, the choice in force, where it would have one)
WITHOUT_EFFECT = [
    ({"model.equal_capacity": True}, "model.equal_capacity=True", "model.encoder='te'", "model.encoder=none"),
    (
        {"diffusion.beta": 1e-3},
        "diffusion.beta=0.001",
        "diffusion.schedule='linear'",
        "constant or constant_continuous",
    ),
    (
        {"diffusion.schedule": "cosine_continuous", "diffusion.gamma_max": 3.0},
        "gamma_max=3.0",
        "reads diffusion.s",
        "linear,",
    ),
    ({"diffusion.schedule": "monotone", "diffusion.s": 0.1}, "diffusion.s=0.1", "schedule='monotone'", "cosine or"),
    ({"diffusion.band_low": 0.0}, "band_low=0.0", "diffusion.loss='bound'", "diffusion.loss=conditional_score"),
    (
        {"model.deterministic": True},
        "deterministic=True",
        "diffusion.loss='bound'",
        "diffusion.loss=conditional_score and model.encoder=oe++ or",
    ),
    (
        {"diffusion.loss": "conditional_score", "model.encoder": "control", "model.encoder_time": True},
        "config.model.encoder_time=True",
        "has no effect with model.encoder='control', which reads model.w_dim",
        "conditional_score and model.encoder=oe++ or",
    ),
    ({"sample.guidance": 1.0}, "sample.guidance=1.0", "diffusion.loss='bound'", "model.labels=True"),
    ({"rate.target_nats": 5.0}, "rate.target_nats=5.0", "rate.mode='fixed', which reads rate.beta", "rate.mode=target"),
    ({"rate.mmd_weight": 5.0}, "rate.mmd_weight=5.0", "rate.mode='fixed'", "rate.mode=mmd"),
    ({"rate.prior_width": 64}, "rate.prior_width=64", "rate.prior='normal'", "rate.prior=diffusion"),
    ({"model.encoder": "none", "rate.mode": "high_noise"}, "rate.mode='high_noise'", "encoder='none'", "encoder=oe++"),
    ({"model.encoder": "none", "rate.prior": "diffusion"}, "rate.prior='diffusion'", "encoder='none'", "encoder=oe++"),
    ({"model.encoder": "none", "rate.beta": 2.0}, "rate.beta=2.0", "encoder='none'", "where model.encoder=oe++"),
    ({"model.encoder": "none", "model.w_dim": 8}, "model.w_dim=8", "equal_capacity=False", "equal_capacity=True"),
    ({"model.encoder": "none", "sample.guided_sources": 2}, "guided_sources=2", "encoder='none'", "encoder=oe++"),
    ({"model.unet.patch": 2}, "model.unet.patch=2", "model.unet.network='vdm'", "model.unet.network=multiscale"),
    ({"model.unet.fourier_min": 7}, "fourier_min=7", "model.unet.fourier_max=-1", "fourier_max=fourier_min or above"),
    ({"data.max_gib": 2.0}, "data.max_gib=2.0", "data.source='npz'", "tfds"),
    ({"data.split": "population"}, "data.split='population'", "data.source='npz'", "sprites"),
    (
        {"evaluate.fid_reference_images": 9},
        "fid_reference_images=9",
        "evaluate.inception=''",
        "evaluate.inception=FILE",
    ),
]


@pytest.mark.parametrize(("deltas", "setting", "choice", "way_out"), WITHOUT_EFFECT, ids=lambda value: str(value)[:60])
def test_settings_without_effect(deltas, setting, choice, way_out):
    config, choices = mnist.get_config(), KINDS["vae_vdm"].choices
    config.update_from_flattened_dict(deltas)
    with pytest.raises(UserError) as told:
        refuse_unread(choices, config, mnist.get_config(), deltas)
    no_effect, _, ways = str(told.value).partition("; it is read with ")
    assert setting in no_effect and choice in no_effect and way_out in ways
    assert list(deltas)[-1] in unread(choices, config)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_programs_with_words_are_functions_of_the_library(kind):
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "vdm_jax").rglob("*.py"))
    functions = {name.strip("_") for name in re.findall(r"^ *def (\w+)\(", text, re.MULTILINE)}
    assert kind.programs.keys() <= functions
    assert kind.programs or kind is KINDS["spaces"], "which compiles nothing itself"
