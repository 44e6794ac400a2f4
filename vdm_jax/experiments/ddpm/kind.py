"""The kind "ddpm": a diffusion model in pixels on a table of noise, without a code."""

from vdm_jax.experiments.common.build import DATA, FRECHET, IMPLIED, NOISE, above, by_data, find_data, understood_data
from vdm_jax.experiments.common.functions import diffusion_functions, restore
from vdm_jax.experiments.common.jobs import fingerprints, model_jobs
from vdm_jax.experiments.common.networks import PIXEL_NETWORKS, network_choices
from vdm_jax.experiments.common.programs import MODELS
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.ddpm.evaluate import evaluate_ddpm
from vdm_jax.experiments.ddpm.sample import draw_ddpm
from vdm_jax.launch.kind import Kind
from vdm_jax.report.compare.ddpm_sweep import write_ddpm_sweep
from vdm_jax.report.sections import DDPM_PAGE

READS = ("data", "model", "diffusion", "train")

# Of sprites modes are counted, of other data distances are measured.
SCORES = by_data(("evaluate.coverage_images",), ("evaluate.frechet_images",))
COVERAGE = above(
    "evaluate.coverage_images",
    1,
    ("evaluate.sprite_tolerance", "evaluate.reader_images", "evaluate.reader_steps"),
)

LATER = {
    "model.network": "multiscale",
    "model.fourier_min": 0,
    "model.fourier_max": -1,
    "model.widths": None,
    "diffusion.pixel_max": None,
}

KIND = Kind(
    build_ddpm,
    model_jobs(READS, evaluate_ddpm, draw_ddpm),
    inputs=fingerprints,
    find=find_data,
    understood=understood_data,
    describe=describe_model,
    programs=MODELS,
    restore=restore,
    functions=diffusion_functions,
    sections=DDPM_PAGE,
    compare=write_ddpm_sweep,
    compared="evaluate",
    implied=IMPLIED | LATER,
    choices=(DATA, NOISE, *network_choices("model", PIXEL_NETWORKS), SCORES, COVERAGE, *FRECHET),
)
