"""Small first stages with known weights, and what diffusers makes of them.

`python tests/networks/diffusers_reference.py` (extra `peers`) runs that library and writes diffusers_reference.npz
beside this file. Weights and inputs are drawn by NumPy in the order of the tensors' names, so that the file holds
outputs alone.
"""

import pathlib

import numpy as np

FILE = pathlib.Path(__file__).with_suffix(".npz")
DOWN, UP = ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"), ("UpDecoderBlock2D", "AttnUpDecoderBlock2D")
GREY = {"in_channels": 1, "out_channels": 1}
CONFIGS = {  # with the side of the images
    "kl": (
        {"_class_name": "AutoencoderKL", **GREY, "block_out_channels": [6, 9, 6], "norm_num_groups": 3}
        | {"down_block_types": [DOWN[0], DOWN[1], DOWN[0]], "up_block_types": [UP[1], UP[0], UP[0]]}
        | {"layers_per_block": 2, "latent_channels": 2, "scaling_factor": 0.5, "shift_factor": 0.1},
        16,
    ),
    "plain": (
        {"_class_name": "AutoencoderKL", "block_out_channels": [8], "norm_num_groups": 4}
        | {"use_quant_conv": False, "use_post_quant_conv": False, "mid_block_add_attention": False},
        6,
    ),
    "vq": (
        {"_class_name": "VQModel", "block_out_channels": [6, 8], "norm_num_groups": 2, "vq_embed_dim": 2}
        | {"down_block_types": [DOWN[0]] * 2, "up_block_types": [UP[0]] * 2, "num_vq_embeddings": 16},
        8,
    ),
    "spatial": (
        {"_class_name": "VQModel", **GREY, "block_out_channels": [32, 32], "num_vq_embeddings": 16}
        | {"down_block_types": [DOWN[0]] * 2, "up_block_types": [UP[1], UP[0]], "norm_type": "spatial"},
        8,
    ),
}


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Tensors of these shapes: scales about 1, shifts about 0, others so that the variance is kept."""
    draw, found = np.random.RandomState(0), {}
    for name, shape in sorted(shapes.items()):
        drawn = draw.standard_normal(shape)
        if len(shape) > 1:
            found[name] = drawn / np.sqrt(np.prod(shape[1:]))
        else:
            found[name] = 0.3 * drawn + (name.endswith("weight"))
    return {name: value.astype(np.float32) for name, value in found.items()}


def images(config: dict, side: int) -> np.ndarray:
    """[2, side, side, C] in ±1."""
    draw = np.random.RandomState(1)
    return draw.uniform(-1, 1, (2, side, side, config.get("in_channels", 3))).astype(np.float32)


def codes(shape: tuple[int, ...]) -> np.ndarray:
    """Inputs of the decoder, before the scale and the shift of the space."""
    return np.random.RandomState(2).standard_normal(shape).astype(np.float32)


def library(config: dict, side: int) -> dict[str, np.ndarray]:
    """What diffusers makes of the images: mean, variance where there is one, decoded codes; NHWC."""
    import diffusers
    import torch

    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    model = getattr(diffusers, config["_class_name"])(**settings).eval()
    drawn = weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(value) for name, value in drawn.items()})

    def nhwc(tensor):
        return np.ascontiguousarray(tensor.numpy().transpose(0, 2, 3, 1))

    with torch.no_grad():
        encoded = model.encode(torch.from_numpy(images(config, side).transpose(0, 3, 1, 2).copy()))
        if config["_class_name"] == "VQModel":
            found = {"mean": nhwc(encoded.latents)}
        else:
            found = {"mean": nhwc(encoded.latent_dist.mean), "variance": nhwc(encoded.latent_dist.var)}
        z = torch.from_numpy(codes(found["mean"].shape).transpose(0, 3, 1, 2).copy())
        return found | {"decoded": nhwc(model.decode(z).sample)}


if __name__ == "__main__":
    outputs = {name: library(*case) for name, case in CONFIGS.items()}
    np.savez_compressed(FILE, **{f"{name}_{key}": v for name, found in outputs.items() for key, v in found.items()})
