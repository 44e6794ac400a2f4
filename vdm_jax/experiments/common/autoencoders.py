"""From the config of an autoencoder to its model: for the kind itself, and for kinds that live in its space."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.rate import NoRate
from vdm_jax.evals.inception_weights import read_weights
from vdm_jax.experiments.common.build import given
from vdm_jax.experiments.common.networks import DTYPES
from vdm_jax.experiments.common.rates import SETTINGS, rate_mode
from vdm_jax.models.adversarial import DISTANCES, ReconstructionLoss
from vdm_jax.models.autoencoder import CODES, REGULARISERS, Autoencoder
from vdm_jax.models.decoder_likelihood import LIKELIHOODS, make_decoder_likelihood
from vdm_jax.models.dip import DIP
from vdm_jax.models.vq import UPDATES, VectorQuantiser
from vdm_jax.networks.autoencoder import BACKBONES, Backbone, make_backbone
from vdm_jax.networks.classifier import make_classifier
from vdm_jax.networks.discriminator import make_discriminator
from vdm_jax.networks.inception import make_inception
from vdm_jax.networks.network import Network

GAUSSIAN, DETERMINISTIC, QUANTISED = "gaussian", "deterministic", "quantised"  # of CODES
LIKELIHOOD, NO_REGULARISER = "likelihood", "none"
LOSSES = (LIKELIHOOD, *DISTANCES)
CLASSIFIER, INCEPTION = "classifier", "inception"
FEATURES = (CLASSIFIER, INCEPTION)
MODES = tuple(mode for mode in SETTINGS if mode not in ("w_dropout", "high_noise"))  # those are of diffusion models
NAMES = {
    "model.backbone": BACKBONES,
    "model.code": CODES,
    "model.likelihood": LIKELIHOODS,
    "model.dtype": DTYPES,
    "quantiser.codebook": UPDATES,
    "regulariser.name": REGULARISERS,
    "rate.mode": MODES,
    "reconstruction.loss": LOSSES,
    "reconstruction.features": FEATURES,
}

# Older names of settings, `Kind.renamed`: flags of that name reached the method of ConfigDict.
RENAMED = {"quantiser.update": "quantiser.codebook"}


def check_names(config: ConfigDict) -> None:
    """Raises `UserError` for an unknown name of a part."""
    for setting, choices in NAMES.items():
        section, _, name = setting.partition(".")
        choose(f"config.{setting}", config[section][name], dict.fromkeys(choices))


def make_autoencoder(config: ConfigDict, data: Dataset) -> Autoencoder:
    """The autoencoder of a config, for images like those of `data`. Nothing is compiled. Raises `UserError`.

    The features of a perceptual loss are those of a network of zeros: the training puts trained ones into its carry.
    """
    check_names(config)
    model = config.model
    num_classes = data.num_classes if model.conditional else 0
    is_gaussian = model.code == GAUSSIAN
    backbone = make_backbone(
        model.backbone,
        data.shape,
        **given(model, (*BACKBONES[model.backbone].reads, "channels")),
        stochastic=is_gaussian,
        num_classes=num_classes,
        dtype=DTYPES[model.dtype],
    )
    sigma = given(model, ("sigma",)) if model.likelihood != "bernoulli" else {}
    values = data.pixel_values
    return Autoencoder(
        backbone=backbone,
        shape=data.shape,
        likelihood=make_decoder_likelihood(model.likelihood, values, **sigma),
        unit=float(values[-1] - values[0]),
        code=model.code,
        quantiser=_quantiser(config.quantiser, backbone) if model.code == QUANTISED else None,
        rate=rate_mode(config.rate) if is_gaussian else NoRate(),
        **(_regulariser(config.regulariser) if is_gaussian else {}),
        reconstruction=_reconstruction(config.reconstruction, data),
        num_classes=num_classes,
    )


def _quantiser(own: ConfigDict, backbone: Backbone) -> VectorQuantiser:
    of_ema = {name: own[name] for name in ("decay", "restart_below")} if own.codebook == "ema" else {}
    dim = backbone.latent_shape[-1]
    return VectorQuantiser(own.num_codes, dim, by=own.codebook, commitment=own.commitment, **of_ema)


def _regulariser(own: ConfigDict) -> dict:
    """The arguments `regulariser` and `dip` of an autoencoder."""
    if own.name == NO_REGULARISER:
        return {}
    lambda_d = DIP[own.name] * own.lambda_od if own.lambda_d is None else own.lambda_d
    return {"regulariser": own.name, "dip": (own.lambda_od, lambda_d)}


def _reconstruction(own: ConfigDict, data: Dataset) -> ReconstructionLoss | None:
    if own.loss == LIKELIHOOD:
        return None
    parts = {"perceptual": own.perceptual}
    if own.perceptual:
        network, apply = feature_network(own, data)
        shapes = jax.eval_shape(network.init, jax.random.key(0))
        zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), shapes)
        parts |= {"features": apply, "feature_params": zeros}
    if own.discriminator:
        network = make_discriminator(data.shape, own.discriminator_channels)
        parts |= {"discriminator": network, "weight": own.discriminator, "start": own.discriminator_start}
    return ReconstructionLoss(own.loss, **parts)


def feature_network(own: ConfigDict, data: Dataset) -> tuple[Network, Callable[[PyTree, Array], Float[Array, "b f"]]]:
    """The network of a perceptual loss, and `features(params, pixels) -> [B, F]`. own: `config.reconstruction`."""
    if own.features == CLASSIFIER:
        network = make_classifier(data.shape, data.num_classes, pooled=False)
        return network, lambda params, x: network.apply(params, x)[1]
    network, (low, high) = make_inception(), data.pixel_values[[0, -1]].tolist()
    return network, lambda params, x: network.apply(params, (x - low) / (high - low))


def read_inception(own: ConfigDict) -> PyTree:
    """The parameters in the file `config.reconstruction.inception`. Raises `UserError`."""
    return read_weights(own.inception).params
