"""The kind "ddpm": a diffusion model in pixels on a table of noise, without a code."""

from vdm_jax.experiments.common.jobs import fingerprints, model_jobs
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.ddpm.evaluate import evaluate_ddpm
from vdm_jax.experiments.ddpm.sample import draw_ddpm
from vdm_jax.launch.kind import Kind
from vdm_jax.report.ddpm_sweep import write_ddpm_sweep

READS = ("data", "model", "diffusion", "train")

KIND = Kind(
    build_ddpm,
    model_jobs(READS, evaluate_ddpm, draw_ddpm),
    inputs=fingerprints,
    sections=("page",),
    compare=write_ddpm_sweep,
    compared="evaluate",
)
