"""From the settings of a network to the network: any denoiser for any kind of experiment, and the encoder."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.experiments.common.build import given
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.settings import value_of
from vdm_jax.networks.denoiser import without_input
from vdm_jax.networks.encoder import make_encoder
from vdm_jax.networks.latent_mlp import LATENT_MLPS, make_latent_mlp
from vdm_jax.networks.multiscale_unet import make_multiscale_unet
from vdm_jax.networks.network import Network
from vdm_jax.networks.sizes import ENCODER_SIZES, MULTISCALE_SIZES, TIME_CNN_SIZES, UNET_SIZES
from vdm_jax.networks.time_cnn import make_time_cnn
from vdm_jax.networks.unet import make_unet

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


FEATURES, NO_FEATURES = "fourier_min or above", "below fourier_min"
ATTENTION, NO_ATTENTION = "SIZE with attention", "SIZE without"
OF_A_CODE = (  # read where there is an encoder
    "model.w_dim",
    "model.encoder_dropout",
    "rate.mode",
    "rate.prior",
    "evaluate.probe_images",
    "sample.guided_sources",
    "sample.guided_per_source",
)
CONTROL = "control"  # the encoder of a code w ~ N(0, I) that is independent of the image
NO_ENCODERS = {  # and what is read there
    "none": ("model.equal_capacity",),
    CONTROL: ("model.w_dim", "sample.guided_sources", "sample.guided_per_source"),
}
OF_A_SCORE = ("diffusion.band_low", "diffusion.band_high", "model.labels")  # read with loss="conditional_score"
OF_LABELS = ("model.label_dropout", "sample.guidance", "sample.guided_sources", "sample.guided_per_source")
OF_ITS_CODE = ("model.deterministic", "model.encoder_time")  # read there with an encoder
CODE, NO_CODE = f"conditional_score and model.encoder={' or '.join(ENCODER_SIZES)}", "another"


def _of_score_and_code(settings: Mapping[str, Any]) -> list[str]:
    return [CODE if _is_score(settings) and value_of(settings, "model.encoder") not in NO_ENCODERS else NO_CODE]


def _is_score(settings: Mapping[str, Any]) -> bool:
    return value_of(settings, "diffusion.loss") == "conditional_score"


SCORE_CHOICES = (
    Choice("diffusion.loss", {"conditional_score": OF_A_SCORE, "bound": ()}),
    Choice(
        "diffusion.loss",
        {CODE: OF_ITS_CODE, NO_CODE: ()},
        _of_score_and_code,
        lambda settings: "model.encoder" if _is_score(settings) else "diffusion.loss",
    ),
    Choice("model.labels", {"True": OF_LABELS, "False": ()}),
    Choice("model.encoder_time", {"True": ("evaluate.code_time",), "False": ()}),
)
ENCODER_CHOICES = (
    Choice("model.encoder", dict.fromkeys(ENCODER_SIZES, OF_A_CODE) | NO_ENCODERS),
    Choice("model.equal_capacity", {"True": ("model.w_dim",), "False": ()}),
)


OF_UNETS = ("conditioning", "zero_init", "fourier_max")  # num_heads where there is attention


class DenoiserKind(NamedTuple):
    """A family of denoisers: its named sizes, the settings that override those of a size, the function that makes one.

    is_unet: it takes dropout, attention, the settings `OF_UNETS` and perhaps a code.
    """

    sizes: dict[str, dict[str, Any]]
    overrides: tuple[str, ...]
    make: Callable[..., Network]
    is_unet: bool = True


NETWORKS = {
    "vdm": DenoiserKind(UNET_SIZES, ("channels", "num_blocks"), make_unet),
    "multiscale": DenoiserKind(
        MULTISCALE_SIZES, ("channels", "num_blocks", "multipliers", "attention", "patch"), make_multiscale_unet
    ),
}
PIXEL_NETWORKS = NETWORKS | {  # of models of pixels without a code
    "cnn": DenoiserKind(TIME_CNN_SIZES, ("widths",), make_time_cnn, is_unet=False)
}


AUTO = "auto"  # the network of latents that their shape asks for
OF_VECTORS, OF_MAPS = "resmlp", "multiscale"
FROM_ZERO = ("normal", "v")  # targets that are those of data N(0, I) where the output is 0
LATENT_MLP_SETTINGS = ("width", "num_layers")


def network_choices(section: str, networks: Mapping[str, DenoiserKind] = NETWORKS) -> tuple[Choice, ...]:
    """What each of `networks` reads of the section of the config, the Fourier features and the attention."""
    low, high = f"{section}.fourier_min", f"{section}.fourier_max"

    def of_range(settings: Mapping[str, Any]) -> list[str]:
        return [FEATURES if value_of(settings, low) <= value_of(settings, high) else NO_FEATURES]

    def of_attention(settings: Mapping[str, Any]) -> list[str]:
        own = value_of(settings, section)
        kind = networks.get(own["network"])
        if kind and not kind.is_unet:
            return [NO_ATTENTION]
        size = kind.sizes.get(own["size"], {}) if kind else {}
        taken = {name: own[name] for name in (kind.overrides if kind else ()) if own.get(name) is not None}
        return [ATTENTION if has_attention(size | taken) else NO_ATTENTION]

    of_unets = (*(f"{section}.{setting}" for setting in OF_UNETS), f"{section.partition('.')[0]}.dropout")
    reads = {
        name: tuple(f"{section}.{setting}" for setting in kind.overrides) + (of_unets if kind.is_unet else ())
        for name, kind in networks.items()
    }
    return (
        Choice(f"{section}.network", reads),
        Choice(high, {FEATURES: (low,), NO_FEATURES: ()}, of_range),
        Choice(f"{section}.size", {ATTENTION: (f"{section}.num_heads",), NO_ATTENTION: ()}, of_attention),
    )


def has_attention(size: Mapping[str, Any]) -> bool:
    """Whether a network of this size has attention; it has where its size says nothing about it."""
    return bool(size.get("attention", True))


def make_denoiser(
    settings: ConfigDict,
    image_shape: tuple[int, int, int],
    *,
    section: str,
    default: str,
    w_dim: int = 0,
    dropout: float | None = None,
    dtype: str,
    network: str = "",
    networks: Mapping[str, DenoiserKind] = NETWORKS,
) -> Network:
    """The denoiser of `settings`, the section `section` of the config.

    default: the network of configs that are older than the setting `network`. w_dim: of the code, 0 for none. network:
    in place of that of `settings`, one of `networks`. Raises `UserError`.
    """
    name = network or settings.get("network") or default
    kind = choose(f"{section}.network", name, networks)
    size = choose(f"{section}.size", settings.size, kind.sizes)
    chosen = given(settings, kind.overrides)
    size = size | chosen
    if not kind.is_unet:
        return kind.make(image_shape, **size, dtype=choose("dtype", dtype, DTYPES))
    if "attention" in chosen:
        _check_attention(chosen["attention"], size, image_shape, section)
    fourier = (settings.get("fourier_min", 0), settings.get("fourier_max", -1))
    return kind.make(
        image_shape,
        **size,
        w_dim=w_dim,
        conditioning=settings.conditioning,
        zero_init=settings.zero_init,
        fourier=fourier if fourier[0] <= fourier[1] else None,
        num_heads=settings.num_heads if has_attention(size) else 1,
        dropout=settings.dropout if dropout is None else dropout,
        dtype=choose("dtype", dtype, DTYPES),
    )


def make_latent_denoiser(settings: ConfigDict, shape: tuple[int, ...], target: str) -> Network:
    """The denoiser of latents of `shape`: an MLP of vectors, a U-Net of maps [H, W, C]. settings: `config.model`.

    The output starts at 0 (`zero_init`). For the targets `FROM_ZERO` the untrained network is then the denoiser of
    N(0, I): a U-Net adds no z there. Raises `UserError` for a network that does not take such latents.
    """
    is_map = len(shape) == 3
    networks = dict.fromkeys(NETWORKS if is_map else LATENT_MLPS)
    name = (OF_MAPS if is_map else OF_VECTORS) if settings.network == AUTO else settings.network
    if name not in networks and name in (*NETWORKS, *LATENT_MLPS):
        takes = "maps [H, W, C]" if name in NETWORKS else "vectors"
        why = f"model.network={name!r} takes {takes}, and the latents of this space are {list(shape)}"
        raise UserError(f"{why}; expected {' or '.join((*networks, AUTO))}")
    choose("model.network", name, networks | {AUTO: None})
    if not is_map:
        own = {setting: settings[setting] for setting in (*LATENT_MLP_SETTINGS, "zero_init")}
        return make_latent_mlp(shape, kind=name, **own, dtype=choose("dtype", settings.dtype, DTYPES))
    own = {"section": "model", "default": name, "dropout": settings.dropout, "dtype": settings.dtype}
    network = make_denoiser(settings, shape, **own, network=name)
    return without_input(network) if target in FROM_ZERO else network


def _check_attention(
    attention: tuple[int, ...], size: dict[str, Any], image_shape: tuple[int, int, int], section: str
) -> None:
    sides = [max(image_shape[:2]) // size.get("patch", 1) // 2**level for level in range(len(size["multipliers"]))]
    for side in attention:
        if side not in sides:
            raise UserError(f"{section}.attention has {side}; expected sides of the U-Net's levels, which are {sides}")


def make_encoder_of(
    config: ConfigDict, image_shape: tuple[int, int, int], of_time: bool = False
) -> tuple[Network | None, int]:
    """The encoder of `config.model`, or None without a code and for a control code, and the width of the code that the
    denoiser has room for. Raises `UserError`. of_time: E(x, t)."""
    dtype = choose("dtype", config.dtype, DTYPES)
    if config.encoder == CONTROL:
        if not config.w_dim:
            raise UserError("model.encoder='control' needs model.w_dim, the width of its code")
        return None, config.w_dim
    if config.encoder == "none":
        if config.equal_capacity and not config.w_dim:
            raise UserError("model.equal_capacity=True needs model.w_dim, the width of the code it goes without")
        return None, config.w_dim if config.equal_capacity else 0
    size = choose("model.encoder", config.encoder, ENCODER_SIZES | dict.fromkeys(NO_ENCODERS, {}))
    size = size | given(config, ("w_dim",))
    if size["w_dim"] < 1:
        raise UserError(f"model.w_dim={size['w_dim']}; expected at least 1, or model.encoder='none' for no code")
    settings = {"dropout": config.encoder_dropout, "of_time": of_time, "dtype": dtype}
    return make_encoder(image_shape, **size, **settings), size["w_dim"]
