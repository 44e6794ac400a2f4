"""What the training of a latent diffusion model needs: latents x of the training images, drawn anew in every batch."""

from functools import partial

import jax
from jaxtyping import Array

from vdm_jax.base.keys import named_key
from vdm_jax.data.order import batch_indices
from vdm_jax.experiments.common.training import ModelTraining, validate
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.latents import draw_latents, latents_of, seen_moments


def make_latent_training(experiment: LatentExperiment, num_devices: int) -> ModelTraining:
    """Batches of latents: x ~ q(x | image) anew in every batch where the space is sampled, otherwise means.

    The moments of the training images are on every device. The draws of step i are a function of `train.seed` and i.
    The latents of the validation images are drawn once.
    """
    config, model, space = experiment.config, experiment.model, experiment.space
    key = jax.random.key(config.train.seed)
    mean, variance = seen_moments(space, "train")
    stored = {"mean": mean} | ({} if variance is None else {"variance": variance})

    def batch_fn(moments: dict[str, Array], step) -> dict[str, Array]:
        rows = batch_indices(named_key(key, "levels"), step, len(mean), config.train.batch_size)
        chosen = {name: moment[rows] for name, moment in moments.items()}
        drawn = jax.random.fold_in(named_key(key, "space"), step)
        return {"levels": draw_latents(drawn, chosen["mean"], chosen.get("variance"))}

    held_out = latents_of(space, experiment.data, "validation", config.train.eval_images, named_key(key, "validation"))
    return ModelTraining(
        loss_fn=model.loss_fn,
        data=stored,
        batch_fn=batch_fn,
        num_images=len(mean),
        validate=partial(validate, model=model, config=config, levels=held_out),
        carry=model.init_carry(),
    )
