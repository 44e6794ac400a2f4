"""Chains with known answers: the exact model's are the exact curves, a deterministic sampler's differ as they must."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.stats import chi2

from vdm_jax.diffusion.posterior import Feature, finite_posterior
from vdm_jax.diffusion.prediction import to_prediction
from vdm_jax.diffusion.rows import matrix_posterior
from vdm_jax.diffusion.schedules import ddpm_linear, dirac, table_schedule
from vdm_jax.diffusion.theory import two_gaussians
from vdm_jax.probing.chains.curves import (
    backward_curves,
    backward_windows,
    describe_sampler,
    gather,
    plateau,
    summarise_backward,
    summarise_round_trip,
)
from vdm_jax.probing.chains.distances import (
    backward_distances,
    far_from_data,
    plateau_distance,
    round_trip_distances,
)
from vdm_jax.probing.chains.process import (
    Guess,
    RoundTrip,
    exact_process,
    judge,
    make_backward,
    make_grid,
    make_round_trip,
    model_process,
    x_process,
)
from vdm_jax.probing.population import Access, Population
from vdm_jax.probing.windows import Noise, noise_of, windows_of
from vdm_jax.train.metrics import MetricsLog

T = 200
GAMMAS = np.linspace(-6, 9, T)
SCHEDULE = table_schedule(GAMMAS)
ASKED = np.array([0, 60, 90, 110, T])
ANY = ASKED[1:-1]  # where something is known and something is not
POINTS = jnp.array([[-1.0], [1.0]])
FEATURES = {"side": Feature(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]))}
NUM, SEVERAL = 4_000, 4.0  # queries; standard errors


def least(gamma):
    return jnp.maximum(gamma, -20.0)


def classes(z, gamma):
    return {"side": matrix_posterior(POINTS, z, least(gamma), jnp.eye(2), chunk=2)}


def draw_x(key, z, gamma):
    return POINTS[jax.random.categorical(key, jnp.log(classes(z, gamma)["side"]), axis=1)]


def mean_x(_, z, t):
    return matrix_posterior(POINTS, z, least(SCHEDULE.gamma(t)), POINTS, chunk=2)


def make_population(rows, features=FEATURES, classes=classes):
    """One member a row, whose side is its number."""
    posterior = finite_posterior(np.asarray(rows), {"side": np.arange(len(rows))}, FEATURES)
    access = Access(
        Partial(lambda rows, index, key=None: rows[index], jnp.asarray(rows)),
        Partial(lambda index: {"side": index}),
        Partial(lambda key, n: jax.random.randint(key, (n,), 0, len(rows))),
        posterior._replace(classes=Partial(classes)),
    )
    return Population(rows.shape[1:], "points", len(rows), features, {}, access)


POPULATION = make_population(POINTS)
READERS = {
    "exact": Partial(lambda _, x: {"side": (x[:, 0] > 0).astype(jnp.int32)}),
    "upside down": Partial(lambda _, x: {"side": (x[:, 0] < 0).astype(jnp.int32)}),
}


def process_of(sampler, grid):
    if sampler == "exact":
        return exact_process(draw_x, SCHEDULE, grid)
    return x_process(mean_x, SCHEDULE, grid, sampler)


def exact_curves():
    """Of the asked timesteps: all known at 0."""
    known = [two_gaussians(float(np.exp(-GAMMAS[step - 1]))) for step in ASKED[1:]]
    columns = [[first, *(getattr(each, name) for each in known)] for name, first in (
        ("accuracy", 1.0), ("retention", 1.0), ("mmse", 0.0), ("information", np.log(2))
    )]  # fmt: skip
    return dict(zip(("accuracy", "retention", "mmse", "information_nats"), map(np.array, columns), strict=True))


EXACT = exact_curves()
NO_ERRORS = {f"{name}_standard_error": np.zeros(len(ASKED)) for name in EXACT}


@cache
def measured(sampler, num_steps):
    grid = make_grid(ASKED, num_steps, SCHEDULE)
    process, key = process_of(sampler, grid), jax.random.key(0)
    gammas = np.maximum(np.asarray(SCHEDULE.gamma(jnp.asarray(ASKED) / T)), -20.0)
    backward, noise = make_backward(POPULATION, READERS, process, SCHEDULE, grid, gammas), noise_of(ASKED, gammas)
    back = summarise_backward(FEATURES, gather(backward, jax.random.fold_in(key, 0), NUM, 2_000), far=0.1)
    round_trip = make_round_trip(POPULATION, READERS, process, SCHEDULE, grid)
    trips = {
        int(t): summarise_round_trip(
            FEATURES,
            gather(lambda key, n, t=int(t): round_trip(key, n, t), jax.random.fold_in(key, t), NUM, 2_000),
            0.1,
        )
        for t in ASKED
    }
    found = describe_sampler(FEATURES, {"side": EXACT | NO_ERRORS}, noise, back, list(trips.values()), NUM, "exact")
    return found, found["features"]["side"]


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "num_steps"), [("exact", 1), ("ancestral", T)])
def test_a_perfect_model_has_the_exact_curves(sampler, num_steps):
    found, side = measured(sampler, num_steps)
    for curve, distance in side["distances"].items():
        assert distance["standard_errors"] < SEVERAL, (curve, distance)
    known, backward = EXACT["information_nats"], side["backward"]
    error = np.array(backward["cross_entropy_nats_standard_error"])
    assert np.all(abs(np.log(2) - np.array(backward["cross_entropy_nats"]) - known) < SEVERAL * error + 1e-3)
    told = found["real_or_generated"]
    assert np.all(abs(np.array(told["accuracy"]) - 0.5) < SEVERAL * np.array(told["standard_error"]))
    assert told["distance"]["standard_errors"] < SEVERAL and told["distance"]["mean"] < told["distance"]["largest"]
    assert max(told["standard_error"]) < 0.01 and found["far_from_data"] < 0.01
    share, error = side["generated"]["share"], side["generated"]["share_standard_error"]
    assert sum(share) == pytest.approx(1) and abs(share[0] - 0.5) < SEVERAL * error[0]


@pytest.mark.slow
def test_the_distances_see_the_wrong_curve():
    """What a deterministic sampler keeps is A(t), far from R(t)."""
    _, side = measured("ddim", T)
    assert side["distances"]["round_trip_kept"]["standard_errors"] > 2 * SEVERAL
    far = side["distances"]["backward_accuracy"]
    assert far["standard_errors"] > 2 * SEVERAL and far["standard_errors"] > far["mean_standard_errors"] > SEVERAL
    gap = abs(np.array(side["backward"]["accuracy"]) - EXACT["accuracy"])
    assert far["largest"] == pytest.approx(gap.max()) and far["mean"] == pytest.approx(gap.mean())


@pytest.mark.slow
def test_the_errors_of_windows_are_their_spread():
    """Over 200 repetitions of 300 chains each, whose timesteps share what is odd about a chain."""
    random, feature = np.random.default_rng(0), Feature(np.full(2, 0.5))
    level, noise = np.array([1.0, 0.9, 0.6, 0.2, 0.0]), Noise(np.arange(0, 1001, 250), np.linspace(1, 0, 5))
    found = []
    for _ in range(200):
        known = level[:, None] + 0.3 * random.normal(size=(1, 300)) + 0.3 * random.normal(size=(5, 300))
        guess = Guess(known > 0.5, np.log(2) * (1 - known), 0 * known)
        found.append(backward_windows(feature, backward_curves(feature, guess), noise))
    windows, errors = (np.array([each[i]["50%"] for each in found]) for i in (0, 1))
    assert windows.mean() == pytest.approx(windows_of(noise, level)["50%"], abs=2)
    assert errors.mean() == pytest.approx(windows.std(), rel=0.2)
    older = {"cross_entropy_nats": [0.0, 0.1, 0.2, 0.5, 0.7]}  # a line without groups
    assert backward_windows(feature, older, noise)[1] == {}


def test_ddim_keeps_the_side_that_z_t_is_on_and_knows_it_from_the_start():
    _, side = measured("ddim", T)
    kept, error = (np.array(side["round_trip"][name]) for name in ("kept", "kept_standard_error"))
    assert np.all(abs(kept - EXACT["accuracy"]) < SEVERAL * np.maximum(error, 1e-3))
    assert min(side["backward"]["accuracy"]) > 0.995 and side["windows"]["50%"] is not None
    assert measured("exact", 1)[1]["backward"]["accuracy"][-1] < 0.55  # where DDIM knows it already


def test_one_ancestral_step_ends_at_the_mean_and_many_at_a_draw():
    """From t to 0 at once the end is E[x | z_t], on the side where the best guess is: A(t), and no data point."""
    one, few = make_grid(np.array([0, 90, T]), 1, SCHEDULE), make_grid(np.array([0, 90, T]), 4, SCHEDULE)
    i = ASKED.tolist().index(90)
    kept = {}
    for name, grid in (("one", one), ("few", few)):
        process = process_of("ancestral", grid)
        trip = make_round_trip(POPULATION, READERS, process, SCHEDULE, grid)(jax.random.key(3), NUM, 90)
        point = summarise_round_trip(FEATURES, jax.device_get(trip), far=0.1)
        kept[name] = point["readers"]["exact"]["side"]["kept"], point["far_from_data"]
    error = np.sqrt(0.25 / NUM)
    assert abs(kept["one"][0] - EXACT["accuracy"][i]) < SEVERAL * error and kept["one"][1] > 0.5
    many = measured("ancestral", T)[1]["round_trip"]["kept"][i]
    away = [abs(value - EXACT["retention"][i]) for value in (kept["one"][0], kept["few"][0], many)]
    assert away[0] > away[1] > SEVERAL * error > away[2]


@pytest.mark.slow
def test_the_larger_variance_is_seen():
    """Of one image: under variance beta z_t is wider than noised data, by a factor that a recursion knows."""
    d, asked = 64, np.array([0, 60, T])
    grid = make_grid(asked, 50, SCHEDULE)
    one = make_population(jnp.zeros((1, d)), classes=lambda z, gamma: {"side": jnp.full((len(z), 2), 0.5)})
    process = x_process(lambda key, z, t: jnp.zeros_like(z), SCHEDULE, grid, "ancestral_beta")
    gammas = np.array([-20.0, GAMMAS[59], GAMMAS[-1]])
    backward = make_backward(one, READERS, process, SCHEDULE, grid, gammas)
    found = summarise_backward(FEATURES, jax.device_get(backward(jax.random.key(0), NUM)), 0.1)
    told = found["real_or_generated"]["accuracy"][1]
    variance, sigma2 = 1.0, 1 / (1 + np.exp(-GAMMAS[np.array(grid.steps[:-1]) - 1]))
    for t, s in zip(sigma2, sigma2[1:], strict=False):
        if s >= sigma2[grid.steps.index(60)]:
            shrink = np.sqrt((1 - t) / (1 - s)) * s / t
            variance = shrink**2 * variance + 1 - (1 - t) / (1 - s)
    ratio = variance / sigma2[grid.steps.index(60)]
    middle = d * (1 + ratio) / 2
    expected = (chi2.cdf(middle, d) + chi2.sf(middle / ratio, d)) / 2
    assert expected > 0.6 and abs(told - expected) < 0.03, (expected, told)


def test_eps_and_x_are_two_words_for_one_model(key):
    grid = make_grid(ASKED, 20, SCHEDULE)

    def denoise(z, t):
        gamma = least(SCHEDULE.gamma(t[0]))
        return to_prediction("x", mean_x(key, z, t[0]), z, gamma)

    z = jax.random.normal(key, (6, 1))
    processes = x_process(mean_x, SCHEDULE, grid, "ancestral"), model_process(denoise, SCHEDULE, grid, "ancestral")
    (x, path), (other, other_path) = (process(key, z, grid.keep, jnp.int32(0)) for process in processes)
    np.testing.assert_allclose(other_path, path, atol=1e-2)  # eps carries 1/alpha_T times the rounding of x
    np.testing.assert_allclose(other, x, atol=1e-2)
    assert path.shape == (len(ASKED), 6, 1)
    np.testing.assert_array_equal(path[-1], z)  # asked timesteps rise: the last is the start
    np.testing.assert_array_equal(path[0], x)


def test_another_reader_is_told_apart():
    """Who reads every label upside down has the posterior wrong wherever it knows something."""
    found, side = measured("exact", 1)
    other = found["features_by"]["upside down"]["side"]
    assert set(found["features_by"]) == {"upside down"}
    np.testing.assert_allclose(np.array(other["backward"]["accuracy"]) + side["backward"]["accuracy"], 1, atol=1e-6)
    np.testing.assert_allclose(np.array(other["round_trip"]["kept"]) + side["round_trip"]["kept"], 1, atol=1e-6)
    assert other["distances"]["round_trip_kept"]["mean_standard_errors"] > 2 * SEVERAL


def test_grids_hold_what_is_asked():
    grid = make_grid(np.array([0, 3, 10]), 2, ddpm_linear(10))
    assert grid.steps == (10, 5, 3, 0) and grid.queried == (0, 3, 10) and grid.keep == (3, 2, 0)
    np.testing.assert_allclose(grid.times, [1.0, 0.5, 0.3, 0.0])
    assert make_grid(np.array([0, 4]), 4, ddpm_linear(4)).steps == (4, 3, 2, 1, 0)


def test_steps_are_where_noise_is_added():
    grid = make_grid(np.array([0, 300, 1000]), 5, dirac())
    assert grid.steps == (1000, 540, 530, 520, 510, 500, 300, 0)
    assert make_grid(np.array([0, 1000]), 100, dirac()).steps == (1000, *range(549, 499, -1), 0)


def test_judging_by_hand():
    feature = Feature(np.array([0.5, 0.25, 0.25]), np.array([[0.0], [1.0], [3.0]]))
    guess = judge(feature, jnp.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), jnp.array([1, 2]))
    assert guess.right.tolist() == [False, False]
    np.testing.assert_allclose(guess.cross_entropy, [-np.log(0.3), 87.3], rtol=1e-3)
    np.testing.assert_allclose(guess.squared_error, [(1 - 1.8) ** 2, 9.0], rtol=1e-5)


def test_plateaus():
    """Two independent positions of 32 in [0, 1] differ by .1774 in mean square; a class comes back by what is made."""
    position = Feature(np.full(32, 1 / 32), np.linspace(0, 1, 32)[:, None])
    found = plateau(position, [1 / 32] * 32)
    assert found == pytest.approx(
        {"forward": 1 / 32, "backward": 1 / 32, "kept": 1 / 32, "squared_error": 0.1774}, abs=1e-4
    )
    found = plateau(Feature(np.array([0.5, 0.5])), [0.9, 0.1])
    assert found == pytest.approx({"forward": 0.5, "backward": 0.9, "kept": 0.5})


def test_of_each_class_its_share_of_what_is_generated_is_kept_at_the_end():
    feature = Feature(np.array([0.25, 0.75]))
    made = {"share": [0.9, 0.1], "share_standard_error": [0.01, 0.01]}
    found = plateau_distance(feature, made, [0.91, 0.1], 1_000)["plateau_by_class"]
    assert found["largest"] == pytest.approx(0.01) and found["mean"] == pytest.approx(0.005)
    assert found["standard_errors"] == pytest.approx(0.01 / np.sqrt(0.01**2 + 0.09 / 250 + 1 / 250**2))
    assert plateau_distance(feature, made, [0.25, None], 1_000)["plateau_by_class"]["standard_errors"] > 20
    assert plateau_distance(feature, made, [None, None], 1_000) == {}


def test_shares_are_kept_by_class_of_the_start():
    feature = Feature(np.array([0.5, 0.5]))
    before, after = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 0, 0])
    trip = make_trip(before, after)
    point = summarise_round_trip({"side": feature}, trip, far=0.5)
    assert point["far_from_data"] == pytest.approx(1 / 6)
    found = point["readers"]["exact"]["side"]
    assert found["kept"] == pytest.approx(0.5) and found["kept_by_class"] == pytest.approx([0.75, 0.0])
    assert found["kept_by_class_standard_error"] == pytest.approx([0.25, 0.0])
    alone = summarise_round_trip({"side": feature}, make_trip(before[:5], after[:5]), far=0.5)
    assert alone["readers"]["exact"]["side"]["kept_by_class"] == [pytest.approx(0.75), None]


def make_trip(before, after):
    distance = np.zeros(len(before), np.float32)
    distance[0] = 1.0
    return RoundTrip({"side": before}, {"exact": {"side": after}}, distance)


def test_rare_errors_that_were_not_seen_are_no_distance():
    feature = FEATURES["side"]
    exact = {"accuracy": [0.99999], "retention": [0.99998], "mmse": [4e-5]}
    exact |= {f"{name}_standard_error": [0.0] for name in list(exact)}
    perfect = {"accuracy": [1.0], "kept": [1.0], "squared_error": [0.0], "squared_error_standard_error": [0.0]}

    def distances(curves):
        found = backward_distances(feature, exact, curves, num_queries=500)
        return found | round_trip_distances(feature, exact, curves, num_queries=500)

    assert max(each["standard_errors"] for each in distances(perfect).values()) < 0.2
    twice = perfect | {"accuracy": [0.996], "kept": [0.996]}
    assert distances(twice)["round_trip_kept"]["standard_errors"] < 2
    wrong = perfect | {"accuracy": [0.9], "kept": [0.9], "squared_error": [0.4], "squared_error_standard_error": [0.04]}
    assert min(each["standard_errors"] for each in distances(wrong).values()) > 8


def test_an_end_that_is_no_number_is_far_from_data():
    assert far_from_data(np.array([0.05, 0.1, 0.2, np.nan]), 0.1) == 0.5


@pytest.mark.parametrize("name", ["side", "class"])
def test_a_chain_that_diverges_is_described_from_its_line_of_json_too(tmp_path, name):
    """NaN is null in a line, and None when the line is read again."""
    feature = {"side": FEATURES["side"], "class": Feature(np.array([0.5, 0.5]))}[name]
    costs = np.array([[0.0, 0.0], [0.1, 0.5], [np.nan, 0.2], [0.6, 0.7]])
    fresh = backward_curves(feature, Guess(costs < 0.3, costs, costs))
    log = MetricsLog(tmp_path / "lines.jsonl")
    log.write({"step": 0} | fresh)
    again = log.rows()[0]
    assert again["cross_entropy_nats"][2] is None and np.isnan(fresh["cross_entropy_nats"][2])
    exact = {name: [1.0, 0.9, 0.8, 0.5] for name in ("accuracy", "mmse")}
    exact |= {f"{name}_standard_error": [0.0] * 4 for name in ("accuracy", "mmse")}
    noise = Noise(np.arange(4), np.array([1.0, 0.7, 0.4, 0.1]))
    windows, distances = partial(backward_windows, noise=noise), partial(backward_distances, exact=exact, num_queries=2)
    assert repr(windows(feature, curves=again)) == repr(windows(feature, curves=fresh))
    assert repr(distances(feature, backward=again)) == repr(distances(feature, backward=fresh))
