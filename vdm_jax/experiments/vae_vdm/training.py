"""What the training job asks of a VAE-VDM: its batches, and the bound on validation images."""

from functools import partial

import jax
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.data.dataset import Split
from vdm_jax.data.order import batch_indices
from vdm_jax.diffusion.rate_target import TargetRate
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.information import active_units
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.train import Training
from vdm_jax.experiments.vae_vdm.codes import encode_all
from vdm_jax.models.vae_vdm import VaeVdm
from vdm_jax.train.state import TrainState


def vae_vdm_training(experiment: Experiment, num_devices: int) -> Training:
    """Batches of training images; where the rate mode holds a target, validation images beside them, whose KL steers
    the multiplier."""
    config, data, model = experiment.config, experiment.data, experiment.model
    key = jax.random.key(config.train.seed)
    sizes = {"levels": config.train.batch_size}
    if isinstance(model.rate, TargetRate):
        parts = config.train.accumulate * num_devices
        sizes["held_out"] = parts * max(1, min(config.train.batch_size, len(data.validation)) // parts)

    def batch_fn(splits, step):
        def take(name, size):
            return splits[name][batch_indices(named_key(key, name), step, len(splits[name]), size)]

        return {name: take(name, size) for name, size in sizes.items()}

    return Training(
        loss_fn=model.loss_fn,
        data={"levels": data.train.levels, "held_out": data.validation.levels},
        batch_fn=batch_fn,
        num_images=len(data.train),
        validate=partial(validate, model=model, config=config, split=data.validation),
        carry=model.rate.init(),
        update_carry=model.update_carry,
    )


def validate(state: TrainState, *, model: VaeVdm, config: ConfigDict, split: Split) -> dict[str, float]:
    """The bound of the averaged weights on validation images, and the score by which a checkpoint is the best."""
    levels, batch_size = split.levels[: config.train.eval_images or None], config.evaluate.batch_size
    mu, logvar = encode_all(model, state.ema_params, levels, batch_size)
    estimate = evaluate_bound(
        model.bound_terms,
        state.ema_params,
        {"levels": levels, "mu": mu, "logvar": logvar},
        passes=config.train.eval_passes,
        batch_size=batch_size,
        key=named_key(jax.random.key(config.train.seed), "validation"),
        place=across_devices,
    )
    means = {name: float(value) for name, value in estimate.mean.items()}
    means["active_units"] = active_units(mu)
    return means | {"score": model.rate.select(means["distortion"], means["rate"])}
