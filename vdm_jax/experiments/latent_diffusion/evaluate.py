"""The evaluation job of a latent diffusion model: denoising, bound and samples, beside those of simpler models.

evaluate.json has, besides what `common/evaluate.py: about` states:

"space": where the latents are from. "num_images", "passes", "num_latents", "num_dims" (values of an image).
"table": {row: …}, rows "trained", "untrained", "prior", "gaussian", "mixture" and "codes" (draws from q(u | x) of test
    images: what the decoder makes of perfect latents). "main": the row of this run's model, whose numbers stand
    besides at the top level as in other kinds ("loss", "bound_nats", "coverage", "frechet").
of a row: "x" and "eps": {"loss", "over_linear", each "…_standard_error", "by_time": {the same, lists}}, per component;
    "bound_nats", "distortion_nats", "rate_nats", "bound_minus_prior_nats", each "…_standard_error";
    "not_a_sprite" and its error, "exactly_a_sprite", "modes": {histogram: {"num_hit", "num_modes", "num_hit_expected",
    "p_value" of the exact reader, "p_value_same_reader" of the network, "kl_nats", "kl_expected_nats"}};
    "frechet": {"distance", "real_vs_real_floor", "num_images", …}.
"by_time": {"time", "timestep" (of a table), "logsnr", "linear_x", "linear_eps"}: lists over the parts of the time, the
    last two the errors of the best linear denoiser from the eigenvalues of the covariance.
"reasons": why something is missing, by "bound_nats", "coverage", "frechet".
"""

import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Integer, Key
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.likelihood import bits_per_dim
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.latents.bound import DETERMINISTIC, NO_LIKELIHOOD, code_terms, density_terms, latent_bound
from vdm_jax.evals.latents.denoising import (
    denoising_terms,
    gammas_of_parts,
    linear_errors,
    measure_denoising,
    over_linear,
)
from vdm_jax.evals.latents.samples import SCORES, score_sets
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, compare_with_entropy, save, say
from vdm_jax.experiments.common.functions import nearest_levels
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.latents import latents_of, make_decoder, seen_moments
from vdm_jax.experiments.latent_diffusion.models import (
    GAUSSIAN,
    PRIOR,
    TRAINED,
    UNTRAINED,
    LatentModel,
    draw_all,
    make_latent_models,
)

CODES = "codes"
OF_MODES = ("num_hit", "num_modes", "num_hit_expected", "p_value", "kl_nats", "kl_expected_nats")
BOUND_KEYS = ("bound_nats", "bpd")
Table = dict[str, dict[str, Any]]


class HeldOut(NamedTuple):
    """Test images and the moments of their latents x, [N, *shape].

    variance: None where the model sees means. noise: of q(x | image); None of a code without noise.
    """

    levels: Integer[np.ndarray, "n h w c"]
    mean: Float[np.ndarray, "n ..."]
    variance: Float[np.ndarray, "n ..."] | None
    noise: Float[np.ndarray, "n ..."] | None

    @property
    def latents(self) -> dict[str, np.ndarray]:
        """As the model sees them, for `evaluate_bound`."""
        return {"mean": self.mean} | ({} if self.variance is None else {"variance": self.variance})


def held_out(data: Dataset, space: EncodedSpace, number: int) -> HeldOut:
    """The first `number` test images (0: all)."""
    levels = data.test.first(number).levels
    index = np.arange(len(levels))
    return HeldOut(levels, *seen_moments(space, "test", index), space.moments("test", index)[1])


def evaluate_latents(experiment: LatentExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". A function of checkpoint, space, config and data."""
    config, data, model, space = experiment.config, experiment.data, experiment.model, experiment.space
    weights = load_weights(workdir, model, config)
    settings, key = config.evaluate, jax.random.key(config.evaluate.seed)
    test = held_out(data, space, settings.num_images)
    say(f"step {weights.step}, {weights.kind} weights, {len(test.levels):,} test images")
    models = make_latent_models(config, data, model, weights, space, named_key(key, "models"))
    schedule = model.schedule(weights.params)

    denoising, by_time = measure_all_denoising(config, models, schedule, model.in_chain, test)
    bounds, reasons = measure_all_bounds(config, models, space, test)
    if model.no_bound:
        reasons = {"bound_nats": model.no_bound} | reasons
    scores, why = score_all(experiment, models, named_key(key, "scores"))
    parts = denoising, bounds, {name: brief(found) for name, found in scores.items()}
    table = {name: {} for name in (*models, CODES)}
    for part in parts:
        table = {name: row | part.get(name, {}) for name, row in table.items()}
    main = TRAINED if weights.step else UNTRAINED
    values = headline(table[main], scores.get(main, {}), data.num_dims) | {"main": main, "table": table}
    values |= {"num_images": len(test.levels), "passes": settings.passes, "by_time": by_time, "space": space.about}
    values |= {"num_latents": model.num_dims, "num_dims": data.num_dims}
    if values["coverage"] is not None:
        values["coverage"] |= {"sampler": config.sample.sampler, "num_sampling_steps": config.sample.num_steps}
    entropy, unknown = compare_with_entropy(values, data)
    reasons = reasons | why | unknown
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons)
    save(workdir, values | entropy | record, {})
    return "done"


def measure_all_denoising(
    config: ConfigDict, models: dict[str, LatentModel], schedule: Schedule, in_chain: Any, test: HeldOut
) -> tuple[Table, dict[str, Any]]:
    """{row: {"x", "eps"}} and "by_time"; see the head of this file."""
    settings, number = config.evaluate, config.evaluate.denoising_parts
    families = {id(each.family): each.family for each in models.values()}
    terms = {name: denoising_terms(each.denoise, schedule, in_chain, number) for name, each in families.items()}
    errors = {
        name: measure_denoising(
            terms[id(each.family)],
            each.params,
            test.latents,
            number,
            key=named_key(jax.random.key(settings.seed), "denoising"),
            passes=settings.passes,
            batch_size=settings.batch_size,
            progress=bar(f"evaluate: denoising, {name}"),
            place=across_devices,
        )
        for name, each in models.items()
    }
    gammas = gammas_of_parts(schedule, in_chain, number)
    eigenvalues = np.asarray(models[GAUSSIAN].params.values[0])
    linear = (found.reshape(gammas.shape).mean(axis=1) for found in linear_errors(eigenvalues, gammas.ravel()))
    times = errors[GAUSSIAN].time
    by_time = {"time": times, "logsnr": errors[GAUSSIAN].logsnr} | dict(
        zip(("linear_x", "linear_eps"), linear, strict=True)
    )
    if schedule.num_steps is not None:
        by_time["timestep"] = times * schedule.num_steps
    table = {name: over_linear(found, errors[GAUSSIAN]) for name, found in errors.items()}
    return table, {name: np.asarray(values).tolist() for name, values in by_time.items()}


def measure_all_bounds(
    config: ConfigDict, models: dict[str, LatentModel], space: EncodedSpace, test: HeldOut
) -> tuple[Table, dict[str, str]]:
    """{row: the bound and its parts}, all from the same draws of x; or the reason why there is none."""
    log_prob = space.space.log_prob
    if test.noise is None or log_prob is None:
        return {}, dict.fromkeys(BOUND_KEYS, DETERMINISTIC if test.noise is None else NO_LIKELIHOOD)
    settings = config.evaluate
    shared = {
        "passes": settings.passes,
        "batch_size": settings.batch_size,
        "key": named_key(jax.random.key(settings.seed), "bound"),
        "place": across_devices,
    }
    latents = {"mean": test.mean, "variance": test.noise}
    images = {"levels": test.levels} | latents
    code = evaluate_bound(
        code_terms(log_prob), space.space.params, images, progress=bar("evaluate: decoder"), **shared
    ).per_image
    families = {id(each.family): each.family for each in models.values() if each.family.density is not None}
    terms = {name: density_terms(family.density) for name, family in families.items()}
    density = {
        name: evaluate_bound(
            terms[id(each.family)], each.params, latents, progress=bar(f"evaluate: bound, {name}"), **shared
        ).per_image["density"]
        for name, each in models.items()
        if id(each.family) in terms
    }
    return {name: latent_bound(code, found, density[PRIOR]) for name, found in density.items()}, {}


def score_all(
    experiment: LatentExperiment, models: dict[str, LatentModel], key: Key[Array, ""]
) -> tuple[Table, dict[str, str]]:
    """Scores of the decoded draws of each model, and of latents of test images: `score_sets`."""
    config, data, space = experiment.config, experiment.data, experiment.space
    settings, decoder = config.evaluate, make_decoder(space.space, config.evaluate.batch_size)

    def decoded(number: int) -> dict[str, Integer[np.ndarray, "n h w c"]]:
        codes = latents_of(space, data, "test", number, named_key(key, CODES))
        drawn = {name: draws for name, draws in draw_all(models, key, number)} | {CODES: codes}
        return {name: nearest_levels(decoder(x), data) for name, x in drawn.items()}

    if data.grid is None:
        return score_sets(data, decoded, num_images=settings.frechet_images)
    number = settings.coverage_images
    of_reader = {name: settings[name] for name in ("sprite_tolerance", "reader_images", "reader_steps") if number > 1}
    return score_sets(data, decoded, num_images=number, **of_reader)


def brief(scores: dict[str, Any]) -> dict[str, Any]:
    """The scores of a row of the table; the whole of them is `coverage` of the main row alone."""
    found: dict[str, Any] = {"frechet": scores["frechet"]}
    coverage = scores["coverage"]
    if coverage is None:
        return found
    exact, net = (coverage["readers"][reader]["histograms"] for reader in ("exact", "net"))
    modes = {
        name: {part: exact[name][part] for part in OF_MODES}
        | {"p_value_same_reader": net[name]["against_real"]["p_value"]}
        for name in exact
    }
    shares = {name: coverage[name] for name in ("not_a_sprite", "not_a_sprite_standard_error", "exactly_a_sprite")}
    return found | shares | {"modes": modes}


def headline(row: dict[str, Any], scores: dict[str, Any], num_dims: int) -> dict[str, Any]:
    """The numbers of the main row under the names that other kinds give them."""
    values: dict[str, Any] = {f"loss{end}": row["eps"][f"loss{end}"] for end in ("", "_standard_error")}
    values |= {name: scores.get(name) for name in SCORES}
    if "bound_nats" not in row:
        return values | dict.fromkeys(BOUND_KEYS)
    for end in ("", "_standard_error"):
        for name in ("bound_nats", "distortion_nats", "rate_nats"):
            values[f"{name}{end}"] = row[f"{name}{end}"]
        values[f"bpd{end}"] = float(bits_per_dim(row[f"bound_nats{end}"], num_dims))
    return values
