"""RMSE, PSNR and SSIM of pairs of images in [0, 1], grey or colour."""

from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # an 11x11 window, Wang et al. 2004
SSIM_WINDOW = 2 * SSIM_RADIUS + 1
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2

Images = Float[np.ndarray, "n h w c"]
Scores = Float[np.ndarray, " n"]


def rmse(images: Images, references: Images) -> Scores:
    """Root mean squared error over the values of an image. -> [N]."""
    difference = np.asarray(images, np.float64) - references
    return np.sqrt((difference**2).mean((1, 2, 3)))


def psnr(images: Images, references: Images) -> Scores:
    """`-20 log10 RMSE` decibels, for a peak of 1. Infinite for equal images. -> [N]."""
    with np.errstate(divide="ignore"):
        return -20 * np.log10(rmse(images, references))


def ssim(images: Images, references: Images) -> Scores:
    """Structural similarity (Wang et al. 2004) with an 11x11 Gaussian window of sigma 1.5. -> [N].

    The mean over all windows inside the image and over channels, with population covariances. Raises `UserError` if the
    image is smaller than the window.
    """
    if min(images.shape[1:3]) < SSIM_WINDOW:
        raise UserError(ssim_reason(images.shape))
    x, y = np.asarray(images, np.float64), np.asarray(references, np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x, variance_y = _window_mean(x * x) - mean_x**2, _window_mean(y * y) - mean_y**2
    covariance = _window_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    return (luminance * structure).mean((1, 2, 3))


def compare_images(images: Images, references: Images) -> dict[str, Any]:
    """Means over image pairs and their standard errors.

    Returns:
        `rmse`, `psnr` (decibels), `ssim`, each with `…_standard_error`; `num_images`; `reasons`, {key: sentence}, of
        metrics that are None.
    """
    scores: dict[str, np.ndarray] = {"rmse": rmse(images, references)}
    reasons = {}
    decibels = psnr(images, references)
    if np.isfinite(decibels).all():
        scores["psnr"] = decibels
    else:
        reasons["psnr"] = f"{np.isinf(decibels).sum()} of {len(images)} pairs are equal: their PSNR is infinite"
    if min(images.shape[1:3]) >= SSIM_WINDOW:
        scores["ssim"] = ssim(images, references)
    else:
        reasons["ssim"] = ssim_reason(images.shape)
    result: dict[str, Any] = {"num_images": len(images), "reasons": reasons}
    for name in ("rmse", "psnr", "ssim"):
        values = scores.get(name)
        result[name] = None if values is None else float(values.mean())
        result[f"{name}_standard_error"] = None if values is None else standard_error(values)
    return result


def standard_error(scores: Scores) -> float:
    """The standard error of the mean over images; 0 for one image."""
    return float(scores.std(ddof=min(1, len(scores) - 1)) / np.sqrt(len(scores)))


def ssim_reason(shape: tuple[int, ...]) -> str:
    """The reason why images of this shape have no SSIM."""
    return f"the {shape[1]}x{shape[2]} images are smaller than SSIM's {SSIM_WINDOW}x{SSIM_WINDOW} window"


def _window_mean(x: Images) -> Float[np.ndarray, "n h_valid w_valid c"]:
    """Gaussian-weighted mean over every window inside the image, one axis after the other."""
    weights = np.exp(-0.5 * (np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1) / SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        x = np.lib.stride_tricks.sliding_window_view(x, SSIM_WINDOW, axis) @ weights
    return x
