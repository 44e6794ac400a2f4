"""The figures draw the data they are handed."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread

from vdm_jax.report.primitives import figures, image_figures, style
from vdm_jax.report.primitives.style import BLUE, CLASS_COLOURS, GREY, to_png
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.sections.frechet import distance_by_n


def line(figure, label):
    """(x, y) of the one line called `label`."""
    (found,) = [line for line in figure.axes[0].get_lines() if line.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_training_curve_draws_both_splits_and_frames_what_comes_after_the_start():
    steps = np.arange(0.0, 100.0)
    train = np.where(steps < 10, 1e6, 50 + steps % 7)
    figure = figures.training_curve(steps, train, steps[::10], train[::10] + 1, title="Bound", target=40.0, num_dims=64)
    np.testing.assert_array_equal(line(figure, "train"), (steps, train))
    np.testing.assert_array_equal(line(figure, "validation"), (steps[::10], train[::10] + 1))
    low, high = figure.axes[0].get_ylim()
    assert 38 < low < 40 and 56 < high < 60
    assert "target 40" in [text.get_text() for text in figure.legends[0].get_texts()]
    to_png(figure)
    legend, frame = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert legend.y1 <= frame.y0, "no legend lies on a curve"


def test_training_curve_shows_bits_per_dimension_at_the_right():
    steps, nats = np.arange(4.0), np.array([64.0, 128.0, 64.0, 96.0]) * np.log(2)
    figure = figures.training_curve(steps, nats, steps, nats, title="Bound", num_dims=64)
    to_png(figure)  # a secondary axis takes its limits when it is drawn
    (right,) = figure.axes[0].child_axes
    np.testing.assert_allclose(right.get_ylim(), np.array(figure.axes[0].get_ylim()) / (64 * np.log(2)))
    assert right.get_ylabel() == "bits / dim"


@pytest.mark.parametrize("values", [np.full(5, np.nan), np.array([np.inf, np.nan, 1.0, 2.0, np.nan]), np.zeros(0)])
def test_training_curve_survives_what_is_not_finite(values):
    steps = np.arange(float(len(values)))
    figure = figures.training_curve(steps, values, steps, values, title="Bound")
    assert to_png(figure).startswith(b"\x89PNG")
    assert ("no finite value" in texts(figure.axes[0])) == (not np.isfinite(values).any())


def test_rate_distortion_path_star_and_iso_lines():
    steps, rate = np.arange(1.0, 11.0), np.linspace(20, 10, 10)
    distortion = 100 + 10 * np.cos(steps)
    distortion[-1] = np.nan
    figure = figures.rate_distortion(steps, rate, distortion)
    np.testing.assert_array_equal(line(figure, "path"), (rate, distortion))
    np.testing.assert_array_equal(line(figure, "last"), (rate[8:9], distortion[8:9]))
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_array(), steps)
    iso = [found for found in figure.axes[0].get_lines() if found.get_linestyle() == ":"]
    sums = [np.add(*found.get_data()) for found in iso]
    assert len(iso) >= 3
    for pair in sums:
        assert pair[0] == pytest.approx(pair[1])
    named = {text for text in texts(figure.axes[0]) if text != "D + R"}
    assert len(named) >= 3 and named <= {f"{pair[0]:g}" for pair in sums}


@pytest.mark.parametrize("n", [0, 1])
def test_rate_distortion_of_no_or_one_point(n):
    figure = figures.rate_distortion(np.arange(1.0, n + 1), np.full(n, 3.0), np.full(n, 40.0))
    assert to_png(figure).startswith(b"\x89PNG")


def test_logsnr_curves_are_sorted_and_the_gain_is_other_minus_own():
    logsnr = np.array([4.0, 0.0, -4.0])
    own, other, error = np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 3.5]), np.full(3, 0.1)
    figure = figures.bound_by_logsnr(logsnr, {"own w": (own, error), "w of other images": (other, error)})
    np.testing.assert_array_equal(line(figure, "own w"), ([-4, 0, 4], [3, 2, 1]))
    gain = figures.code_gain(logsnr, {"w of other images": (other - own, error)})
    np.testing.assert_array_equal(line(gain, "w of other images − own w"), ([-4, 0, 4], [0.5, 3, 0]))
    band = gain.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(3 + 2 * 0.1)


def test_area_does_not_depend_on_the_direction_of_the_grid():
    grid = np.linspace(-2, 2, 5)
    assert figures.area(grid, grid + 2) == pytest.approx(8)
    assert figures.area(grid[::-1], (grid + 2)[::-1]) == pytest.approx(8)


def test_scatter_has_each_class_in_its_colour_at_its_points():
    labels = np.array([0, 1, 1, 3])
    points = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0], [9.0, 9.0]])
    figure = figures.scatter_by_label(points, labels, title="PCA", label_names=("zero", "one", "two", "three"))
    drawn = figure.axes[0].collections
    assert [str(dots.get_label()) for dots in drawn] == ["zero", "one", "three"]
    for dots, label, colour in zip(drawn, (0, 1, 3), CLASS_COLOURS, strict=False):
        np.testing.assert_array_equal(dots.get_offsets(), points[labels == label])
        assert to_hex(dots.get_facecolor()[0]) == colour.lower()
    assert [text.get_position() for text in figure.axes[0].texts] == [(0, 0), (2, 2), (9, 9)]
    assert [to_hex(text.get_color()) for text in figure.axes[0].texts] == [c.lower() for c in CLASS_COLOURS[:3]]
    assert not figure.legends, "names are at their points"


def test_names_of_classes_at_one_place_do_not_cover_each_other():
    points = np.random.default_rng(0).normal(size=(600, 2))
    figure = figures.scatter_by_label(points, np.arange(600) % 10, title="PCA")
    to_png(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 10
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across <= 0 or up < 0.4 * a.height, "boxes have margins"


def test_scatter_without_labels_has_no_legend():
    figure = figures.scatter_by_label(np.zeros((3, 2)), None, title="PCA")
    assert not figure.legends and len(figure.axes[0].collections[0].get_offsets()) == 3


def test_bars_have_the_accuracies_and_say_what_was_not_measured():
    accuracies = np.array([0.9, np.nan, 0.5])
    figure = figures.accuracy_bars(
        ["w", "pca", "raw"], accuracies, np.zeros(3), ours=[True, False, False], title="Probe"
    )
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == [0.9, 0, 0.5]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [BLUE.lower(), GREY, GREY]
    assert texts(figure.axes[0]) == ["0.900", "not measured", "0.500"]


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_distances_lie_over_one_in_n_with_the_fit_down_to_zero(value):
    curve = {
        "distance": [20.0, 12.0, 9.0, value],
        "standard_error": [1.0, 0.5, 0.25, None],
        "fit": [6.0, 480.0, 0.0],
        "extrapolated": 6.0,
        "extrapolated_standard_error": 0.5,
    }
    axes = distance_by_n([40, 80, 160, 320], {"prior": curve}, [False, True, True, True], title="FID").axes[0]
    assert to_png(axes.figure).startswith(b"\x89PNG")
    filled, hollow, star = (container.lines[0] for container in axes.containers)
    np.testing.assert_array_equal(filled.get_data(), ([1 / 80, 1 / 160, 1 / 320], [12, 9, value]))
    np.testing.assert_array_equal(hollow.get_data(), ([1 / 40], [20]))
    assert to_hex(hollow.get_markerfacecolor()) == "#ffffff" != to_hex(filled.get_markerfacecolor())
    np.testing.assert_array_equal(star.get_data(), ([0], [6]))
    ends = [(line.get_xdata(), line.get_ydata()) for line in axes.get_lines() if len(line.get_xdata()) == 50]
    (fit,) = ends
    assert (fit[0][0], fit[1][0], fit[0][-1], fit[1][-1]) == (0, 6, 1 / 80, 12)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["∞", "40", "80", "160", "320"]
    bars = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([np.ptp(bar[:, 1]) for bar in bars[:2]], [4 * 0.5, 4 * 0.25])


def test_distances_that_were_not_fitted_are_hollow_and_named():
    curve = {"distance": [np.nan] * 2, "standard_error": [None] * 2, "fit": None}
    figure = distance_by_n([10, 20], {"real": curve}, [False, False], title="FID")
    assert "no finite value" in texts(figure.axes[0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["real, held out"]


def pixels(figure):
    return np.round(255 * imread(io.BytesIO(to_png(figure)))[..., :3]).astype(int)


@pytest.mark.parametrize("channels", [2, 5])
def test_grid_draws_channels_as_panes_from_left_to_right(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, channels), dtype=np.uint8)
    drawn = pixels(image_figures.grid_figure(images, num_columns=1))
    scale, pad, width = image_figures.CELL // 8, 3, 9 * channels - 1
    assert drawn.shape == (scale * (2 * (8 + pad) + pad), scale * (width + 2 * pad), 3)
    small = drawn[::scale, ::scale]
    assert (small == small[..., :1]).all(), "grey"
    for i, image in enumerate(images):
        row = small[pad + i * (8 + pad) :][:8, pad : pad + width, 0]
        for channel in range(channels):
            np.testing.assert_allclose(row[:, 9 * channel :][:, :8], image[..., channel], atol=1)
        np.testing.assert_allclose(row[:, 8::9], 128, atol=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_draws_every_pixel_as_an_even_square(channels):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, channels), dtype=np.uint8)
    drawn = pixels(image_figures.grid_figure(images, num_columns=2))
    scale = image_figures.CELL // 8
    assert drawn.shape == (scale * 19, scale * 19, 3)
    assert (drawn.reshape(19, scale, 19, scale, 3) == drawn[::scale, ::scale].reshape(19, 1, 19, 1, 3)).all()
    small = drawn[::scale, ::scale]
    np.testing.assert_allclose(small[1:9, 1:9], np.broadcast_to(images[0], (8, 8, 3)), atol=1)
    np.testing.assert_allclose(small[10:18, 10:18], np.broadcast_to(images[3], (8, 8, 3)), atol=1)


def test_guided_and_chain_figures_put_the_source_at_the_left():
    source = np.stack([np.full((8, 8, 1), level, np.uint8) for level in (10, 20)])
    others = np.stack([source + 100, source + 200], axis=1)
    scale, top = image_figures.CELL // 8, image_figures.HEADER
    left = 10 * scale + image_figures.CELL // 4
    for figure in (
        image_figures.guided_figure(source, others),
        image_figures.chain_figure(source, others, np.array([1.0, 0.0])),
    ):
        drawn = pixels(figure)
        for row in range(2):
            y = top + (1 + 9 * row + 4) * scale
            levels = [drawn[y, 5 * scale, 0], drawn[y, left + 5 * scale, 0], drawn[y, left + 14 * scale, 0]]
            np.testing.assert_allclose(levels, [10 + 10 * row, 110 + 10 * row, 210 + 10 * row], atol=1)
    assert [text.get_text() for text in figure.texts] == ["source", "t = 1.00", "t = 0.00"]


def test_windows_are_told_with_their_errors():
    windows = {"95%": 311.7, "50%": 434.4, "5%": None}
    assert window_cells(windows) == ["312", "434", "never"]
    assert window_cells(windows, {"95%": 2.26, "50%": None}) == ["312 ± 2.3", "434", "never"]


@pytest.mark.slow
def test_no_two_lines_look_alike():
    assert len({style.line_look(i) for i in range(40)}) == 40
    looks = [style.marked_look(i) for i in range(80)]
    assert len(set(looks)) == 80 and all(marker is None for _, marker in looks[:10])


TO_XYZ = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
NO_GREEN_CONES = [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]  # Machado et al. 2009


@pytest.mark.parametrize(("seen", "at_least"), [(np.eye(3), 30), (np.array(NO_GREEN_CONES), 12)])
def test_ten_colours_are_far_apart(seen, at_least):
    """In CIELAB, where 2.3 is a just noticeable difference."""
    points = []
    for colour in CLASS_COLOURS:
        linear = np.array([((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)])
        x, y, z = np.cbrt(TO_XYZ @ np.clip(seen @ linear, 1e-3, 1) / [0.9505, 1, 1.0888])
        points.append([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    apart = np.linalg.norm(np.array(points)[:, None] - np.array(points), axis=-1)
    assert len(points) == 10 and apart[~np.eye(10, dtype=bool)].min() > at_least


@pytest.mark.parametrize("n", [0, 1, 7, 13])
def test_names_at_the_ends_of_lines_are_in_order_and_do_not_overlap(n):
    places = np.sort(np.random.default_rng(n).random(n) ** 4)
    moved = style.apart(places, 0.075)
    assert (np.diff(moved) >= 0.075 - 1e-9).all() and (moved <= 1).all()
    np.testing.assert_array_equal(style.apart(np.array([0.1, 0.5, 0.9]), 0.075), [0.1, 0.5, 0.9])
    _, axes = style.panel(title="", xlabel="", ylabel="")
    for i in range(n):
        axes.plot([0, 1], [5, places[i]], label=f"line {i}", color=style.CLASS_COLOURS[i % 10])
    axes.plot([0, 1], [np.nan, np.nan], label="nothing")
    style.label_ends(axes)
    assert texts(axes) == [f"line {i}" for i in range(n)]
