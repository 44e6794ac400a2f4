"""The kind "ddpm": a diffusion model in pixels on a table of noise, without a code."""

from functools import partial

from vdm_jax.experiments.common.build import DATA, FRECHET, IMPLIED, NOISE, above, by_data, find_data, understood_data
from vdm_jax.experiments.common.functions import diffusion_functions, restore
from vdm_jax.experiments.common.jobs import IGNORED, fingerprints, is_of_named_weights, model_jobs
from vdm_jax.experiments.common.networks import PIXEL_NETWORKS, network_choices
from vdm_jax.experiments.common.programs import MODELS
from vdm_jax.experiments.common.samplers.job import SAMPLERS_CHOICE, SAMPLERS_IMPLIED, samplers_job
from vdm_jax.experiments.common.samplers.sets import draw_sets
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.ddpm.evaluate import evaluate_ddpm
from vdm_jax.experiments.ddpm.round_trip import GRIDS, RECORD, round_trip
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.launch.settings import value_of
from vdm_jax.report.compare.ddpm_sweep import write_ddpm_sweep
from vdm_jax.report.sections import DDPM_PAGE

OF_CHAINS = tuple(f"sample.{name}" for name in ("sampler", "num_steps", "grid", "clip"))
UNUSED = {  # of the job round_trip: what a file without its section means
    "num_images": 0,
    "num_full": 0,
    "times": "0.1,0.5,1",
    "epochs": "",
    "num_shown": 8,
    "frechet_images": 0,
    "step_beta": 0.1,
    "timesteps": 20,
    "batch_size": 250,
    "seed": 0,
}
READS = ("data", "model", "diffusion", "train")

# Of sprites modes are counted, of other data distances are measured.
SCORES = by_data(("evaluate.coverage_images",), ("evaluate.frechet_images",))
COVERAGE = above(
    "evaluate.coverage_images",
    1,
    ("evaluate.sprite_tolerance", "evaluate.reader_images", "evaluate.reader_steps"),
)

ROUND_TRIP = Job(
    from_files(round_trip),
    reads=(*READS, "evaluate.checkpoint", "evaluate.weights", *OF_CHAINS, "round_trip"),
    ignores=(*IGNORED, "round_trip.batch_size"),
    after=("train",),
    writes=RECORD,
    leaves=(GRIDS,),
    idle=lambda config: not config.get("round_trip", {}).get("num_images", 0),  # older files lack the section
    memory_hint="lower config.round_trip.batch_size",
)
ROUND_TRIP = ROUND_TRIP._replace(is_done=partial(is_of_named_weights, ROUND_TRIP))
OF_THE_JOB = Choice(
    "round_trip.num_images",
    {"1": tuple(f"round_trip.{name}" for name in UNUSED if name not in ("num_images", "step_beta")), "0": ()},
    lambda settings: ["1" if value_of(settings, "round_trip.num_images") else "0"],  # older files lack it
)

LATER = {
    "model.network": "multiscale",
    "model.fourier_min": 0,
    "model.fourier_max": -1,
    "model.widths": None,
    "diffusion.pixel_max": None,
    **{f"round_trip.{name}": value for name, value in UNUSED.items()},
}
OF_DISTANCES = above("round_trip.frechet_images", 2, ("round_trip.step_beta",))

KIND = Kind(
    build_ddpm,
    model_jobs(READS, evaluate_ddpm, draw_sets) | {"round_trip": ROUND_TRIP, "samplers": samplers_job(READS)},
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
    implied=IMPLIED | LATER | SAMPLERS_IMPLIED,
    choices=(
        DATA,
        NOISE,
        *network_choices("model", PIXEL_NETWORKS),
        SCORES,
        COVERAGE,
        *FRECHET,
        OF_THE_JOB,
        OF_DISTANCES,
        SAMPLERS_CHOICE,
    ),
)
