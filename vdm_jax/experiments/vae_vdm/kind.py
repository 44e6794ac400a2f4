"""The kind "vae_vdm": a variational diffusion model with a learned code."""

from vdm_jax.experiments.common.build import DATA, FRECHET, IMPLIED, NOISE, find_data, understood_data
from vdm_jax.experiments.common.functions import diffusion_functions, restore
from vdm_jax.experiments.common.jobs import fingerprints, model_jobs
from vdm_jax.experiments.common.networks import ENCODER_CHOICES, SCORE_CHOICES, network_choices
from vdm_jax.experiments.common.programs import MODELS
from vdm_jax.experiments.common.rates import RATE_CHOICES
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.experiments.vae_vdm.evaluate import evaluate
from vdm_jax.experiments.vae_vdm.sample import draw_vae_vdm
from vdm_jax.launch.kind import Kind
from vdm_jax.report.compare.sweep import write_sweep
from vdm_jax.report.sections import VAE_VDM_PAGE

READS = ("data", "model", "diffusion", "rate", "train")

KIND = Kind(
    build,
    model_jobs(READS, evaluate, draw_vae_vdm, ("evaluate_curves.npz", "evaluate_images.npz", "embeddings.npz")),
    inputs=fingerprints,
    find=find_data,
    understood=understood_data,
    describe=describe_model,
    programs=MODELS,
    restore=restore,
    functions=diffusion_functions,
    sections=VAE_VDM_PAGE,
    compare=write_sweep,
    compared="evaluate",
    implied=IMPLIED
    | {"model.unet.network": "vdm"}
    | dict.fromkeys(("model.unet.multipliers", "model.unet.attention", "model.unet.patch"))
    | {"diffusion.loss": "bound", "diffusion.band_low": None, "diffusion.band_high": None}
    | dict.fromkeys(("model.deterministic", "model.encoder_time", "model.labels"), False)
    | {"model.label_dropout": 0.1, "evaluate.code_time": 0.5, "sample.guidance": 0.0},
    choices=(DATA, NOISE, *network_choices("model.unet"), *ENCODER_CHOICES, *SCORE_CHOICES, *RATE_CHOICES, *FRECHET),
)
