"""The timed VAE-VDMs: the sizes of the blog with an encoder, on random images of the shape of MNIST."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vdm_jax.base.images import even_pixel_values
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.data.order import batch_indices
from vdm_jax.diffusion.code_prior import NormalPrior
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.diffusion.rate import FixedRate
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.models.code import CodeModel
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective
from vdm_jax.networks.encoder import make_encoder
from vdm_jax.networks.sizes import ENCODER_SIZES, UNET_SIZES
from vdm_jax.networks.unet import make_unet
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import TrainState, as_vectors, init_state
from vdm_jax.train.step import CompiledStep, make_train_step

NUM_IMAGES = 2048
NUM_LEVELS = 256
GAMMA_RANGE = (-13.3, 5.0)
SETTINGS = {"learning_rate": 2e-4, "b1": 0.9, "b2": 0.99, "weight_decay": 0.01, "clip": 1.0}  # the blog's
EMA_DECAY = 0.9999


@dataclass(frozen=True)
class ModelCase:
    """One case: a U-Net of `size`, an encoder, images of `side`, a batch size, and the dtype of the computation."""

    size: str
    encoder: str
    side: int
    batch_size: int
    dtype: str

    @property
    def name(self) -> str:
        return f"{self.size}-{self.encoder}-{self.side}x{self.side}-batch{self.batch_size}-{self.dtype}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.side, self.side, 1)


def make_model(case: ModelCase) -> DiffusionModel:
    """The model of a case, with the settings of `configs/mnist.py`."""
    encoder = ENCODER_SIZES[case.encoder]
    dtype = jnp.dtype(case.dtype)
    pixel_values = even_pixel_values(NUM_LEVELS)
    return DiffusionModel(
        network=make_unet(case.image_shape, **UNET_SIZES[case.size], w_dim=encoder["w_dim"], dtype=dtype),
        noise=make_schedule("linear", gamma_min=GAMMA_RANGE[0], gamma_max=GAMMA_RANGE[1]),
        prediction="eps",
        objective=DiffusionObjective(),
        code=CodeModel(
            encoder=make_encoder(case.image_shape, **encoder, dtype=dtype),
            w_dim=encoder["w_dim"],
            rate=FixedRate(1.0),
            prior=NormalPrior(),
            prior_network=None,
        ),
        shape=case.image_shape,
        likelihood=LevelLikelihood(pixel_values),
        x_range=(float(pixel_values[0]), float(pixel_values[-1])),
    )


def random_images(case: ModelCase) -> np.ndarray:
    """Random grey levels [N, H, W, 1]. The time of a step does not depend on them."""
    return np.random.default_rng(0).integers(0, NUM_LEVELS, (NUM_IMAGES, *case.image_shape), np.uint8)


def make_training(case: ModelCase, steps_per_call: int) -> tuple[CompiledStep, TrainState, Any]:
    """The compiled step of the library, its state, and the data for its batches."""
    model, mesh = make_model(case), make_mesh()
    optimizer = make_optimizer(num_steps=1_000_000, **SETTINGS)
    order = jax.random.key(0)

    def batch_fn(data, step):
        return {"levels": data[batch_indices(named_key(order, "levels"), step, len(data), case.batch_size)]}

    step = make_train_step(
        model.loss_fn,
        optimizer,
        jax.random.key(1),
        mesh=mesh,
        batch_fn=batch_fn,
        ema_decay=EMA_DECAY,
        steps_per_call=steps_per_call,
    )
    state = as_vectors(init_state(model.init(jax.random.key(2)), optimizer, {}))
    return step, replicate(state, mesh), replicate(random_images(case), mesh)
