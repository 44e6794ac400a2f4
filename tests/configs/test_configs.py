"""Every variant builds the networks it promises, counted without a compilation; errors are one sentence."""

from fnmatch import fnmatch
from importlib import import_module

import jax
import numpy as np
import pytest
from launching import ROOT
from ml_collections import ConfigDict

from configs import (
    base,
    cifar10,
    collapse,
    collapse_causes,
    digits,
    mnist,
    representation,
)
from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior
from vdm_jax.diffusion.rate import CyclicalRate, FixedRate, FreeBits, NoRate, WarmupRate
from vdm_jax.diffusion.rate_code import CodeDropout, HighNoiseRate, MmdRate
from vdm_jax.diffusion.rate_target import TargetRate
from vdm_jax.experiments.common.models import make_vae_vdm
from vdm_jax.experiments.common.train import DECAYS
from vdm_jax.launch.config_files import flat
from vdm_jax.models.conditional_score import ConditionalScoreModel

ENCODERS = ("oe++", "oe", "se", "te", "ue", "none")
WITH_CODE = {"svdm": 3_979_521, "tvdm": 637_441, "mvdm": 131_265}  # a code of 128
WITHOUT = {"svdm": 4_037_121, "tvdm": 559_617, "mvdm": 84_033}
ENCODER_COUNTS = {"oe++": 716_481, "oe": 515_521, "ue": 515_521, "se": 261_793, "te": 216_529}
# OE++ has a code of 256: 128 more inputs of the conditioning map of each of the 2 n + 3 ResBlocks
WIDER_CODE = {"svdm": 128 * 64 * 35, "tvdm": 128 * 32 * 19, "mvdm": 128 * 16 * 11}


def blank_images(side: int, num_levels: int, channels: int = 1) -> ImageData:
    split = Split(np.zeros((4, side, side, channels), np.uint8), np.arange(4, dtype=np.int32) % 2)
    return ImageData("blank", split, split, split, even_pixel_values(num_levels), ("0", "1"))


MNIST, DIGITS, CIFAR10 = blank_images(28, 256), blank_images(8, 17), blank_images(32, 256, channels=3)


def counts(config, data: ImageData) -> dict[str, int]:
    shapes = jax.eval_shape(make_vae_vdm(config, data).init, jax.random.key(0))
    return {name: num_parameters(part) for name, part in shapes.items()}


FILES = [import_module(f"vdm_jax.configs.{path.stem}") for path in sorted((ROOT / "configs").glob("[!_]*.py"))]


@pytest.mark.parametrize("file", FILES)
def test_no_setting_has_the_name_of_a_method(file):
    """`config.update` is the method of a ConfigDict: a flag of that name cannot be set."""
    names = {part for name in flat(file.get_config()) for part in name.split(".")}
    assert not names & set(dir(ConfigDict))


def test_mnist_has_the_eighteen_columns_of_the_blog():
    assert set(mnist.VARIANTS) == {f"{unet}-{encoder}" for unet in ("svdm", "tvdm", "mvdm") for encoder in ENCODERS}
    assert len(mnist.VARIANTS) == 18


@pytest.mark.slow
@pytest.mark.parametrize("variant", sorted(mnist.VARIANTS))
def test_mnist_variants_have_the_counts_of_the_blog(variant):
    unet, encoder = variant.split("-")
    config = mnist.get_config(variant)
    if encoder == "none":
        expected = {"unet": WITHOUT[unet]}
    else:
        wider = WIDER_CODE[unet] if encoder == "oe++" else 0
        expected = {"unet": WITH_CODE[unet] + wider, "encoder": ENCODER_COUNTS[encoder]}
    assert counts(config, MNIST) == expected
    model = make_vae_vdm(config, MNIST)
    if encoder == "none":
        assert model.code is None
    else:
        assert model.code.w_dim == {"oe++": 256}.get(encoder, 128)
        assert model.code.rate == (NoRate() if encoder == "ue" else FixedRate(1.0))
    assert ("not a bound" in model.describe_objective()) == (encoder == "ue")


def test_mnist_baseline_of_equal_capacity():
    config = mnist.get_config("mvdm-none")
    config.update_from_flattened_dict({"model.equal_capacity": True, "model.w_dim": 128})
    assert counts(config, MNIST) == {"unet": WITH_CODE["mvdm"]}
    assert make_vae_vdm(config, MNIST).code is None


def test_mnist_settings_are_the_blogs():
    config = mnist.get_config()
    assert config.name == "mnist-mvdm-te" and config.model.encoder == "te"
    train = config.train
    assert (train.learning_rate, train.learning_rate_schedule, train.b1, train.b2) == (2e-4, "constant", 0.9, 0.99)
    assert (train.weight_decay, train.clip, train.batch_size, train.num_steps) == (0.01, 1.0, 64, 100_000)
    assert (train.ema_decay, config.model.dropout) == (0.9999, 0.1)
    model = make_vae_vdm(config, MNIST)
    gamma = model.fixed_schedule.gamma(np.float32([0, 1]))
    np.testing.assert_allclose(gamma, [-13.3, 5.0], rtol=1e-6)
    assert (model.prediction, model.objective.weighting, model.chain_length()) == ("eps", "bound", None)


RATES = {
    "": TargetRate(10.0),
    "target": TargetRate(10.0),
    "beta1": FixedRate(1.0),
    "beta1e4": FixedRate(1e4),
    "warmup": WarmupRate(1.0, warmup_steps=1_000),
    "cyclical": CyclicalRate(1.0, cycle_steps=600),
    "free_bits": FreeBits(0.5),
    "mmd": MmdRate(0.0, mmd_weight=1_000.0),
    "w_dropout": CodeDropout(1.0, dropout=0.2),
    "high_noise": HighNoiseRate(1.0, weight=3.0, logsnr=0.0),
    "learned_prior": FixedRate(1.0),
    "target_learned_prior": TargetRate(10.0),
    "none": NoRate(),
    "control": FixedRate(1.0),
    "unconditional": None,
}
NO_ENCODER = ("control", "unconditional")


def test_every_digits_variant_is_looked_at():
    assert set(RATES) == set(digits.VARIANTS) | {""}


@pytest.mark.parametrize("variant", RATES)
def test_digits_variants_differ_in_the_rate_alone(variant):
    config = digits.get_config(variant)
    model = make_vae_vdm(config, DIGITS)
    conditional = counts(digits.get_config(), DIGITS)
    expected = {"unet": conditional["unet"]} if variant in NO_ENCODER else conditional
    found = counts(config, DIGITS)
    learned = found.pop("code_prior", 0)
    assert found == expected
    assert (learned > 0) == variant.endswith("learned_prior")
    if variant == "unconditional":
        assert model.code is None
    else:
        assert model.code.rate == RATES[variant] and model.code.w_dim == 16
        assert isinstance(model.code.prior, DiffusionPrior) if learned else model.code.prior == NormalPrior()
    assert config.train == digits.get_config().train


def test_names_and_so_default_workdirs_are_distinct():
    configs = [(file, variant) for file in (digits, mnist, collapse, collapse_causes) for variant in file.VARIANTS]
    assert len({file.get_config(variant).name for file, variant in configs}) == len(configs)


@pytest.mark.parametrize("file", [base, digits, mnist])
def test_configs_are_locked_and_name_the_nearest_key(file):
    config = file.get_config()
    with pytest.raises(AttributeError, match='Did you mean "num_steps"'):
        config.train.nmu_steps = 3
    with pytest.raises(KeyError, match='Did you mean "encoder"'):
        config.update_from_flattened_dict({"model.encodr": "te"})


CHANNELS = {"svdm": 64, "tvdm": 32, "mvdm": 16}
ENCODER_CHANNELS = {"oe++": 64, "oe": 64, "ue": 64, "se": 32, "te": 16}


@pytest.mark.parametrize("variant", ["mvdm-oe++", "mvdm-te", "mvdm-none", "tvdm-ue", "svdm-none"])
def test_cifar10_variants_are_those_of_mnist_with_more_positions_colours_and_fourier_features(variant):
    unet, encoder = variant.split("-")
    # 3 colours and a sine and a cosine of each for n = 7, 8 in place of one grey value; 3 outputs with their biases
    more = 9 * CHANNELS[unet] * (3 + 3 * 4 - 1) + 2 * (9 * CHANNELS[unet] + 1)
    if encoder == "none":
        expected = {"unet": WITHOUT[unet] + more}
    else:
        wider, w_dim = (WIDER_CODE[unet], 256) if encoder == "oe++" else (0, 128)
        positions = 2 * 9 * ENCODER_CHANNELS[encoder] + (32**2 - 28**2) * 2 * w_dim
        expected = {"unet": WITH_CODE[unet] + wider + more, "encoder": ENCODER_COUNTS[encoder] + positions}
    assert counts(cifar10.get_config(variant), CIFAR10) == expected


def test_cifar10_without_a_code_is_vdms_own_run():
    """google-research/vdm: configs/cifar10.py, and what experiment.py and train_state.py do whatever the config."""
    assert len(cifar10.VARIANTS) == 24
    config = cifar10.get_config("vdm-none")
    config.model.unet.num_blocks = 1  # of 32: the same parts
    model = make_vae_vdm(config, CIFAR10)
    assert model.shape == (32, 32, 3) and model.noise.gamma_range == (-13.3, 5.0) and model.code is None
    params = jax.eval_shape(model.init, jax.random.key(0))
    assert set(params["gamma"]) == {"gamma_0", "log_width"} and not model.objective.minimise_variance
    decays = {
        jax.tree_util.keystr(path): value
        for path, value in jax.tree_util.tree_leaves_with_path(DECAYS[config.train.decay](params))
    }
    assert decays["['unet']['attention']['qkv']['kernel']"] and decays["['unet']['norm_out']['scale']"]
    assert not any(value for name, value in decays.items() if "bias" in name or "gamma" in name)
    assert (config.data.source, config.data.name, config.name) == ("tfds", "cifar10", "cifar10-vdm-none")
    unet, train = config.model.unet, config.train
    assert (unet.size, unet.fourier_min, unet.fourier_max, unet.num_heads) == ("original", 7, 8, 1)
    assert (train.batch_size, train.learning_rate, train.b1, train.b2) == (128, 2e-4, 0.9, 0.99)
    assert (train.weight_decay, train.ema_decay, config.model.dropout) == (0.01, 0.9999, 0.1)
    assert (train.num_steps, train.clip, train.ema_warmup, unet.zero_init) == (10_000_000, 0, False, True)
    other = cifar10.get_config("vdm-te").train
    assert (other.clip, other.decay, other.ema_warmup) == (1.0, "all", True)
    assert cifar10.get_config().name == "cifar10-mvdm-te"


def test_unknown_variants():
    with pytest.raises(UserError, match=r"variant='mvdm-ooe'; expected one of .*did you mean 'mvdm-oe'\?"):
        mnist.get_config("mvdm-ooe")
    with pytest.raises(UserError, match=r"did you mean 'vdm-none'\?"):
        cifar10.get_config("vdm-nome")
    with pytest.raises(UserError, match=r"did you mean 'free_bits'\?"):
        digits.get_config("freebits")
    with pytest.raises(ValueError, match="variant='target'"):
        base.get_config("target")


MISTAKES = [
    ({"model.encoder": "tee"}, r"model\.encoder='tee'.*did you mean 'te'\?"),
    ({"model.unet.size": "orignal"}, r"model\.unet\.size='orignal'.*did you mean 'original'\?"),
    ({"model.unet.conditioning": "adagm"}, r"did you mean 'adagn'\?"),
    ({"model.unet.channels": 7}, "channels=7"),
    ({"model.unet.num_heads": 5}, "num_heads"),
    ({"model.w_dim": 0}, r"model\.w_dim=0"),
    ({"model.encoder": "control"}, r"model\.encoder='control' needs model\.w_dim"),
    ({"model.dtype": "bfloat61"}, r"dtype='bfloat61'.*did you mean 'bfloat16'\?"),
    ({"model.encoder": "none", "model.equal_capacity": True}, r"needs model\.w_dim"),
    ({"diffusion.schedule": "lineer"}, r"schedule='lineer'.*'monotone'.*did you mean 'linear'\?"),
    ({"diffusion.schedule": "dirac"}, r"schedule='dirac'.*no bound is defined for the Dirac schedule"),
    ({"diffusion.schedule": "monotone", "diffusion.gamma_min": 6.0}, r"gamma_min=6\.0 is not below"),
    ({"diffusion.gamma_min": 6.0}, r"gamma_min=6\.0 is not below"),
    ({"diffusion.target": "epsilon"}, "target='epsilon'"),
    ({"diffusion.weighting": "minsnr"}, r"did you mean 'min_snr'\?"),
    ({"rate.mode": "fixd"}, r"rate\.mode='fixd'.*did you mean 'fixed'\?"),
    ({"rate.mode": "target", "rate.target_nats": 0.0}, r"target=0\.0 nats"),
    ({"rate.prior": "difusion"}, r"rate\.prior='difusion'.*did you mean 'diffusion'\?"),
    ({"rate.prior": "diffusion", "rate.mode": "free_bits"}, r"does not go with rate\.mode='free_bits'"),
    ({"rate.prior": "diffusion", "rate.prior_width": 7}, r"rate\.prior_width=7; expected an even number"),
    ({"model.unet.network": "vmd"}, r"model\.unet\.network='vmd'.*did you mean 'vdm'\?"),
    ({"model.unet.network": "multiscale"}, r"model\.unet\.size='m'; expected one of .*'ddpm'"),
]


@pytest.mark.parametrize(("deltas", "sentence"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistaken_settings(deltas, sentence):
    config = mnist.get_config()
    config.update_from_flattened_dict(deltas)
    with pytest.raises(UserError, match=sentence) as caught:
        make_vae_vdm(config, MNIST)
    assert "\n" not in str(caught.value)


def test_settings_reach_what_they_are_for():
    config = mnist.get_config()
    config.update_from_flattened_dict(
        {"diffusion.schedule": "ddpm_linear", "diffusion.num_steps": 10, "diffusion.beta_1": 1e-2}
    )
    model = make_vae_vdm(config, MNIST)
    assert model.chain_length() == model.fixed_schedule.num_steps == 10
    np.testing.assert_allclose(jax.nn.sigmoid(model.fixed_schedule.gamma(np.float32(0.1))), 1e-2, rtol=1e-4)
    config.update_from_flattened_dict({"diffusion.schedule": "cosine_continuous", "diffusion.beta_1": None})
    model = make_vae_vdm(config, MNIST)
    assert model.fixed_schedule.num_steps is None and model.chain_length() == 10
    fourier = mnist.get_config()
    fourier.update_from_flattened_dict({"model.unet.fourier_min": 6, "model.unet.fourier_max": 7})
    more = 9 * 16 * 4  # a sine and a cosine for n = 6, 7 into the first 3x3 convolution
    assert counts(fourier, MNIST)["unet"] == WITH_CODE["mvdm"] + more


@pytest.mark.parametrize("side", ["14", "28"])
def test_collapse_variants_differ_in_the_rate_alone(side):
    conditional = counts(collapse.get_config(f"{side}-target"), MNIST)
    longer = {"warmup": WarmupRate(beta=1.0, warmup_steps=2_500), "cyclical": CyclicalRate(beta=1.0, cycle_steps=1_500)}
    for mode in digits.VARIANTS:
        config = collapse.get_config(f"{side}-{mode}")
        assert config.data.downsample == (2 if side == "14" else 1)
        code = make_vae_vdm(config, MNIST).code
        assert (code and code.rate) == (RATES | longer)[mode]
        assert config.train == collapse.get_config(f"{side}-target").train
    for mode in NO_ENCODER:
        assert counts(collapse.get_config(f"{side}-{mode}"), MNIST) == {"unet": conditional["unet"]}


@pytest.mark.parametrize("variant", representation.VARIANTS)
def test_codes_of_a_conditional_score_have_the_networks_of_a_vae_vdm(variant):
    config, reference = representation.get_config(variant), counts(digits.get_config(), DIGITS)
    model, found = make_vae_vdm(config, DIGITS), counts(config, DIGITS)
    is_score = config.diffusion.loss == "conditional_score"
    assert (
        isinstance(model, ConditionalScoreModel) == is_score == (variant not in ("vae_vdm", "target", "unconditional"))
    )
    found.pop("code_prior", None)
    if variant == "labels":
        assert model.code is None and model.num_labels == 2 and found["unet"] < reference["unet"]
    elif variant == "unconditional":
        assert found == {"unet": reference["unet"]}
    elif variant.endswith("time"):
        assert model.code.of_time and found["unet"] == reference["unet"] and found["encoder"] > reference["encoder"]
    else:
        assert found == reference
    if is_score and model.code:
        assert model.code.deterministic == variant.startswith("drl") == isinstance(model.code.rate, NoRate)
    quick = representation.get_config(f"quick-{variant}")
    assert quick.train.num_steps == 200 and quick.name == f"representation-quick-{variant}"
    assert quick.model == config.model and quick.diffusion == config.diffusion and quick.rate == config.rate


def test_bands_of_log_snr_are_those_of_the_config():
    bands = {
        name: make_vae_vdm(representation.get_config(name), DIGITS).band for name in ("drl", "drl-low", "drl-high")
    }
    assert bands == {"drl": (-np.inf, np.inf), "drl-low": (-np.inf, -0.9), "drl-high": (-0.9, np.inf)}
    of_sprites = [representation.get_config(f"sprites-{name}").diffusion for name in ("drl-low", "drl-high")]
    assert [of_sprites[0].band_high, of_sprites[1].band_low] == [-3.0, -3.0]


def test_labels_need_labels_and_take_the_place_of_a_code():
    config = representation.get_config("labels")
    unlabelled = Split(DIGITS.train.stored, None)
    data = ImageData("blank", unlabelled, unlabelled, unlabelled, DIGITS.pixel_values, ())
    with pytest.raises(UserError, match="data 'blank' have no labels"):
        make_vae_vdm(config, data)
    config.model.equal_capacity = True
    with pytest.raises(UserError, match="leave model.equal_capacity at False"):
        make_vae_vdm(config, DIGITS)


def test_the_sweeps_of_columns():
    assert [member["variant"] for member in mnist.get_sweep()] == list(mnist.VARIANTS) and len(mnist.VARIANTS) == 18
    assert [member["variant"] for member in cifar10.get_sweep()] == list(cifar10.VARIANTS)
    assert {"vdm-none", "svdm-oe++", "mvdm-te"} <= set(cifar10.VARIANTS) and len(cifar10.VARIANTS) == 24


def test_the_collapse_sweep():
    names = [member["variant"] for member in collapse.get_sweep()]
    assert len(names) == 3 * len(digits.VARIANTS) + 2 * len(collapse.THAT_MATTER)
    assert set(names) <= set(collapse.VARIANTS)
    assert {name for name in names if name.startswith("28")} == {f"28-{mode}" for mode in collapse.THAT_MATTER}


def test_settings_of_a_decoder_differ_in_the_code_alone():
    configs = [collapse_causes.get_config(f"digits-1x8-{mode}") for mode in collapse_causes.MODES]
    assert len({counts(config, DIGITS)["unet"] for config in configs}) == 1
    assert all(config.train == configs[0].train for config in configs)
    assert collapse_causes.get_config("14-12epochs-control").train.num_steps * 16 == 12 * 55_000


def test_the_sweep_of_causes_has_three_seeds_of_every_variant_but_of_those_that_take_hours():
    found = [(member["variant"], member["train.seed"]) for member in collapse_causes.get_sweep()]
    thrice = [name for name in collapse_causes.VARIANTS if name not in collapse_causes.ONCE]
    assert found == [(name, seed) for name in thrice for seed in range(3)] + [
        (name, 0) for name in collapse_causes.ONCE
    ]
    studies = {"digits-": 9 * 4, "14-?x": 2 * 4, "14-12epochs": 3, "sprites-sparse": 4}
    assert {study: sum(fnmatch(name, f"{study}*") for name in thrice) for study in studies} == studies
    assert set(collapse_causes.ONCE) < set(collapse_causes.VARIANTS) and len(collapse_causes.ONCE) == 2 + 4
    settings = digits.DIGITS | {"model.unet.num_blocks": 2, "model.unet.channels": 32, "evaluate.frechet_images": 0}
    assert collapse_causes.VARIANTS["digits-2x32-beta1"] == settings | digits.VARIANTS["beta1"]
    small = collapse_causes.get_config("sprites-small-target_learned_prior")
    assert (small.data.name, small.data.split, small.rate.target_nats) == ("small", "population", 4.0)
    assert collapse_causes.get_config("14-12epochs-target2_learned_prior").rate.target_nats == 2.0
