"""Reads `AutoencoderKL` and `VQModel` of Hugging Face diffusers from a folder: config.json and *.safetensors.

Nothing is unpickled: other weights files are refused. A path of the parameters, joined with dots, is the name of a
tensor: "kernel", "scale" and "embedding" are "weight" there, convolutions are OIHW and linear maps [out, in].
"""

import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from vdm_jax.base.errors import UserError, choose, suggestion
from vdm_jax.networks.autoencoder import Backbone
from vdm_jax.networks.diffusers import KL, SPATIAL_GROUPS, VQ, DiffusersConfig, make_diffusers

CONFIG = "config.json"
DOWN_BLOCKS = {"DownEncoderBlock2D": False, "AttnDownEncoderBlock2D": True}  # with attention?
UP_BLOCKS = {"UpDecoderBlock2D": False, "AttnUpDecoderBlock2D": True}
ACTIVATIONS = ("silu", "swish")  # two names of one function
NORM_TYPES = ("group", "spatial")
# Settings of the files that change nothing here: the usual side, the precision of a GPU, tokens instead of latents
UNUSED = ("sample_size", "force_upcast", "lookup_from_codebook")
SHARED = (
    "in_channels", "out_channels", "down_block_types", "up_block_types", "block_out_channels", "layers_per_block",
    "act_fn", "latent_channels", "norm_num_groups", "scaling_factor", "mid_block_add_attention", *UNUSED,
)  # fmt: skip
SETTINGS = {
    KL: (*SHARED, "shift_factor", "latents_mean", "latents_std", "use_quant_conv", "use_post_quant_conv"),
    VQ: (*SHARED, "num_vq_embeddings", "vq_embed_dim", "norm_type"),
}
LATENT_CHANNELS = {KL: 4, VQ: 3}  # where config.json does not say
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # of attention, before 0.12
OLD_NAME = re.compile(r"(attentions\.\d+\.)(query|key|value|proj_attn)(?=\.)")
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
FLOATS = ("float32", "float16", "bfloat16", "float64")


def is_diffusers(folder: str | pathlib.Path) -> bool:
    """Whether config.json in the folder names a class of diffusers; a run of ours names a kind."""
    path = pathlib.Path(folder) / CONFIG
    return path.is_file() and "_class_name" in _json(path)


def read_diffusers(folder: str | pathlib.Path, image_shape: tuple[int, ...]) -> tuple[Backbone, dict[str, PyTree]]:
    """The networks for images of `image_shape` (H, W, C), and their parameters {"encoder", "decoder"}, float32.

    Raises:
        UserError: where a file is missing or damaged, a setting is unknown or a tensor does not fit.
    """
    folder = pathlib.Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} holds no first stage: there is no {CONFIG}; name the folder with the weights")
    config = read_config(_json(path), path)
    backbone = make_diffusers(config, image_shape)
    return backbone, to_params(backbone, read_tensors(folder), folder)


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no settings, but a {type(found).__name__}; copy it again")
    return found


def read_config(found: Mapping[str, Any], path: pathlib.Path) -> DiffusersConfig:
    """The settings of a config.json. Raises `UserError` for a class, a setting or a value that is unknown here."""
    name = choose(f"_class_name in {path}", str(found.get("_class_name")), {KL: KL, VQ: VQ})
    for setting in found:
        if not setting.startswith("_") and setting not in SETTINGS[name]:
            why = f"{path} has the setting {setting!r}, which is unknown of a {name}"
            raise UserError(f"{why}{suggestion(setting, SETTINGS[name])}; expected {', '.join(SETTINGS[name])}")
    reader = _Settings(found, path)
    widths = reader.integers("block_out_channels", (64,))
    choose(f"act_fn in {path}", str(found.get("act_fn", "silu")), dict.fromkeys(ACTIVATIONS))
    choose(f"norm_type in {path}", str(found.get("norm_type", "group")), dict.fromkeys(NORM_TYPES))
    latents = reader.integer("latent_channels", LATENT_CHANNELS[name])
    code_channels = latents if found.get("vq_embed_dim") is None else reader.integer("vq_embed_dim", latents)
    config = DiffusersConfig(
        class_name=name,
        in_channels=reader.integer("in_channels", 3),
        out_channels=reader.integer("out_channels", 3),
        widths=widths,
        down_attention=reader.blocks("down_block_types", DOWN_BLOCKS, len(widths)),
        up_attention=reader.blocks("up_block_types", UP_BLOCKS, len(widths)),
        layers_per_block=reader.integer("layers_per_block", 1),
        latent_channels=latents,
        groups=reader.integer("norm_num_groups", 32),
        mid_attention=reader.truth("mid_block_add_attention"),
        quant_conv=reader.truth("use_quant_conv"),
        post_quant_conv=reader.truth("use_post_quant_conv"),
        codes=reader.integer("num_vq_embeddings", 256),
        code_channels=code_channels,
        spatial_norm=found.get("norm_type") == "spatial",
        **reader.scaling(latents if name == KL else code_channels),
    )
    if config.spatial_norm and (config.code_channels != latents or any(width % SPATIAL_GROUPS for width in widths)):
        why = f"{path} has norm_type='spatial' with vq_embed_dim={config.code_channels}, latent_channels={latents} and"
        raise UserError(f"{why} block_out_channels={list(widths)}; expected equal numbers, and multiples of 32")
    return config


class _Settings:
    """Values of a config.json, with a sentence for each that is none of its type."""

    def __init__(self, found: Mapping[str, Any], path: pathlib.Path):
        self.found, self.path = found, path

    def refuse(self, name: str, expected: str) -> UserError:
        return UserError(f"{self.path} has {name}={self.found[name]!r}; expected {expected}")

    def integer(self, name: str, default: int) -> int:
        value = self.found.get(name, default)
        if type(value) is not int or value < 1:
            raise self.refuse(name, "a whole number of at least 1")
        return value

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        values = self.found.get(name, default)
        if not isinstance(values, list | tuple) or not values or any(type(v) is not int or v < 1 for v in values):
            raise self.refuse(name, "a list of whole numbers of at least 1")
        return tuple(values)

    def truth(self, name: str) -> bool:
        value = self.found.get(name, True)
        if type(value) is not bool:
            raise self.refuse(name, "true or false")
        return value

    def blocks(self, name: str, known: Mapping[str, bool], number: int) -> tuple[bool, ...]:
        values = self.found.get(name, [next(iter(known))])
        if (
            not isinstance(values, list | tuple)
            or len(values) != number
            or any(v not in known for v in map(str, values))
        ):
            raise self.refuse(name, f"{number} of {', '.join(known)}, one for each of block_out_channels")
        return tuple(known[value] for value in values)

    def numbers(self, name: str, length: int) -> tuple[float, ...] | None:
        values = self.found.get(name)
        if values is None:
            return None
        listed = values if isinstance(values, list | tuple) else [values]
        if len(listed) != length or not all(type(v) in (int, float) and np.isfinite(v) for v in listed):
            raise self.refuse(name, "a finite number" if length == 1 else f"{length} finite numbers")
        return tuple(map(float, listed))

    def scaling(self, channels: int) -> dict[str, tuple[float, ...]]:
        """x = (code - shift_factor) scaling_factor; with latents_mean and latents_std, as SDXL's pipelines,
        (code - latents_mean) scaling_factor / latents_std."""
        (factor,) = self.numbers("scaling_factor", 1) or (0.18215,)
        deviation = self.numbers("latents_std", channels) or (1.0,)
        if factor == 0 or 0.0 in deviation:
            raise self.refuse("latents_std" if factor else "scaling_factor", "no zero")
        offset = self.numbers("latents_mean", channels) or self.numbers("shift_factor", 1) or (0.0,)
        return {"offset": offset, "scale": tuple(factor / each for each in deviation)}


def read_tensors(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of the folder's *.safetensors by name, float32. Raises `UserError`."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
        why = f"{folder} holds no *.safetensors"
        if pickled:
            why = f"{why}, and {pickled[0]} is not read, because unpickling can run any program"
        raise UserError(f"{why}; save the model with safe_serialization=True, or copy the safetensors file here")
    if len(files) > 1 and not all(re.search(r"-\d{5}-of-\d{5}\.safetensors$", path.name) for path in files):
        names = ", ".join(path.name for path in files)
        raise UserError(f"{folder} holds more than one weights file ({names}); leave the one to read, or all its parts")
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        why = "the package safetensors, which reads a foreign first stage, is missing"
        raise UserError(f"{why}: python -m pip install 'vdm-jax[foreign]'") from error
    found: dict[str, np.ndarray] = {}
    for path in files:
        try:
            with safe_open(path, framework="flax") as file:  # numpy itself has no bfloat16
                for name in file.keys():  # noqa: SIM118  it is no dict
                    tensor = np.asarray(file.get_tensor(name))
                    if tensor.dtype.name not in FLOATS:
                        raise UserError(f"{path}: {name} is {tensor.dtype}; expected one of {', '.join(FLOATS)}")
                    found[name] = tensor.astype(np.float32)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read ({error}); copy it again") from error
    return found


def tensor_name(path: tuple[Any, ...]) -> str:
    """The tensor of a leaf of the parameters {"encoder", "decoder"}: `encoder.conv_in.weight`."""
    *modules, leaf = (key.key for key in path[1:])
    return ".".join([*modules, LEAVES[leaf]])


def _shape_in_file(path: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """HWIO -> OIHW, [in, out] -> [out, in]; others have the same shape."""
    if path[-1].key != "kernel":
        return shape
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def expected_tensors(backbone: Backbone) -> dict[str, tuple[int, ...]]:
    """The shape in the file of each tensor, by name."""
    paths = jax.tree_util.tree_leaves_with_path(_shapes(backbone))
    return {tensor_name(path): _shape_in_file(path, leaf.shape) for path, leaf in paths}


def _shapes(backbone: Backbone) -> dict[str, PyTree]:
    nets = {"encoder": backbone.encoder, "decoder": backbone.decoder}
    return {part: jax.eval_shape(net.init, jax.random.key(0)) for part, net in nets.items()}


def to_params(backbone: Backbone, tensors: Mapping[str, np.ndarray], source: object) -> dict[str, PyTree]:
    """The parameters {"encoder", "decoder"} that the tensors hold.

    tensors: float32 by name, with old or new names of attention. source: where they are from, for sentences.
    Raises `UserError` for the first tensor whose shape does not fit, for missing ones and for unexpected ones.
    """
    given = {OLD_NAME.sub(lambda m: m[1] + OLD_NAMES[m[2]], name): (name, value) for name, value in tensors.items()}
    wanted = expected_tensors(backbone)
    missing = [f"{name} {list(shape)}" for name, shape in wanted.items() if name not in given]
    unexpected = [f"{old} {list(value.shape)}" for name, (old, value) in given.items() if name not in wanted]
    for name, shape in wanted.items():
        if name in given and given[name][1].shape != shape:
            old, value = given[name]
            why = f"{source}: the tensor {old} has the shape {list(value.shape)}; expected {list(shape)} by {CONFIG}"
            raise UserError(f"{why}; choose weights and a {CONFIG} of one model")
    for what, names in (("lacks", missing), ("has, unexpected,", unexpected)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            why = f"{source} {what} the tensor{'s' * (len(names) > 1)} {', '.join(names[:3])}{more}"
            raise UserError(f"{why}; choose weights and a {CONFIG} of one model")

    def converted(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        value = given[tensor_name(path)][1]
        if path[-1].key == "kernel":
            value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        return np.ascontiguousarray(value)

    return jax.tree_util.tree_map_with_path(converted, _shapes(backbone))
