"""The sections of a report, one file a kind of record, and the pages that the kinds of experiments make of them."""

from vdm_jax.report.sections.autoencoder import (
    AUTOENCODER_NUMBERS,
    AUTOENCODER_OTHER_NUMBERS,
    DISENTANGLEMENT,
    FACTORS,
    READOUTS,
    RECONSTRUCTIONS,
)
from vdm_jax.report.sections.autoencoder_latents import (
    CODEBOOK,
    HEAT_MAPS,
    INTERPOLATIONS,
    LATENT_SPACE,
    PRIOR_SAMPLES,
    TRAVERSALS,
)
from vdm_jax.report.sections.autoencoder_training import TERMS
from vdm_jax.report.sections.chain_probes import CHAIN_PROBES
from vdm_jax.report.sections.chains import CHAINS
from vdm_jax.report.sections.codes import CODE, CODE_PROBES
from vdm_jax.report.sections.coverage import COVERAGE
from vdm_jax.report.sections.daes.attractors import ATTRACTORS, BASINS, ENDS, SVD_DIFFUSION, TWO_POINTS
from vdm_jax.report.sections.daes.errors import DAE_ERRORS, DAE_LOSS, JACOBIANS
from vdm_jax.report.sections.ddpm.round_trip import BY_TIMESTEP, ROUND_TRIP_SCORES, ROUND_TRIPS
from vdm_jax.report.sections.degradation.restoration import (
    PROPERTIES,
    RESTORATION,
    RESTORATION_LOSS,
    RESTORATION_NUMBERS,
)
from vdm_jax.report.sections.degradation.sets import FROM_START, RESTORED_STRIPS, SETS
from vdm_jax.report.sections.exact import EXACT
from vdm_jax.report.sections.forward_process.models import RECONSTRUCT, SPLIT
from vdm_jax.report.sections.forward_process.noising import CLOSENESS, SCHEDULES, STRIPS
from vdm_jax.report.sections.frechet import FRECHET
from vdm_jax.report.sections.latent.models import LATENT_DENOISING, LATENT_MODELS, LATENT_OTHER_NUMBERS
from vdm_jax.report.sections.latent.quality import LATENT_QUALITY
from vdm_jax.report.sections.logsnr import LOGSNR
from vdm_jax.report.sections.normality import NORMALITY, SPECIATION
from vdm_jax.report.sections.numbers import NUMBERS, OTHER_NUMBERS
from vdm_jax.report.sections.probe import PROBE
from vdm_jax.report.sections.provenance import CONFIG, PROVENANCE
from vdm_jax.report.sections.representations.costs import CODE_COSTS
from vdm_jax.report.sections.representations.decoded import CODE_INTERPOLATIONS, CODE_RECONSTRUCTIONS
from vdm_jax.report.sections.representations.tables import (
    CODE_DISENTANGLEMENT,
    CODE_FEW_LABELS,
    CODE_INFORMATION,
    CODE_READOUTS,
    CODES,
)
from vdm_jax.report.sections.representations.times import CODE_TIMES
from vdm_jax.report.sections.representations.worth import CODE_WORTH
from vdm_jax.report.sections.samples import GUIDED, PATH, RECONSTRUCTION, SAMPLES
from vdm_jax.report.sections.score.images import SCORE_LEVELS, SCORE_SAMPLERS
from vdm_jax.report.sections.score.known import SCORE_KNOWN
from vdm_jax.report.sections.score.mixture import SCORE_CHAINS, SCORE_ERRORS
from vdm_jax.report.sections.spaces import HELD, SPACE, SPACE_CURVES, SPACE_WINDOWS
from vdm_jax.report.sections.timeline import TIMELINE
from vdm_jax.report.sections.training import BOUND, LOSS, RATE_DISTORTION

_ORIGIN = (CONFIG, PROVENANCE)
VAE_VDM_PAGE = (
    NUMBERS, BOUND, RATE_DISTORTION, LOGSNR, SAMPLES, GUIDED, RECONSTRUCTION, FRECHET, CODE, CODE_PROBES, FACTORS,
    OTHER_NUMBERS, *_ORIGIN,
)  # fmt: skip
DDPM_PAGE = (
    NUMBERS, LOSS, SAMPLES, PATH, COVERAGE, FRECHET, ROUND_TRIP_SCORES, ROUND_TRIPS, BY_TIMESTEP, SCORE_SAMPLERS,
    OTHER_NUMBERS, *_ORIGIN,
)  # fmt: skip
EXACT_PAGE = (TIMELINE, EXACT, *_ORIGIN)
PROBES_PAGE = (TIMELINE, EXACT, SPECIATION, NORMALITY, PROBE, CHAINS, CHAIN_PROBES, *_ORIGIN)
AUTOENCODER_PAGE = (
    AUTOENCODER_NUMBERS, RECONSTRUCTIONS, LATENT_SPACE, PRIOR_SAMPLES, INTERPOLATIONS, TRAVERSALS, HEAT_MAPS,
    CODEBOOK, READOUTS, DISENTANGLEMENT, BOUND, TERMS, RATE_DISTORTION, AUTOENCODER_OTHER_NUMBERS, *_ORIGIN,
)  # fmt: skip
SPACES_PAGE = (SPACE, SPACE_WINDOWS, SPACE_CURVES, HELD, *_ORIGIN)
LATENT_DIFFUSION_PAGE = (
    LATENT_MODELS, LATENT_DENOISING, LOSS, SAMPLES, PATH, COVERAGE, LATENT_QUALITY, LATENT_OTHER_NUMBERS, *_ORIGIN,
)  # fmt: skip
FORWARD_PAGE = (STRIPS, SCHEDULES, CLOSENESS, RECONSTRUCT, SPLIT, *_ORIGIN)
DAE_PAGE = (DAE_ERRORS, ATTRACTORS, ENDS, BASINS, TWO_POINTS, SVD_DIFFUSION, JACOBIANS, DAE_LOSS, *_ORIGIN)
SCORE_PAGE = (
    NUMBERS, LOSS, SAMPLES, PATH, SCORE_LEVELS, SCORE_SAMPLERS, SCORE_ERRORS, SCORE_CHAINS, SCORE_KNOWN, COVERAGE,
    OTHER_NUMBERS, *_ORIGIN,
)  # fmt: skip
DEGRADATION_PAGE = (
    RESTORATION, PROPERTIES, RESTORED_STRIPS, SETS, SAMPLES, FROM_START, RESTORATION_LOSS, RESTORATION_NUMBERS,
    *_ORIGIN,
)  # fmt: skip
CODES_PAGE = (
    CODES, CODE_COSTS, CODE_READOUTS, CODE_FEW_LABELS, CODE_INFORMATION, CODE_DISENTANGLEMENT, CODE_TIMES,
    CODE_RECONSTRUCTIONS, CODE_INTERPOLATIONS, CODE_WORTH, *_ORIGIN,
)  # fmt: skip
