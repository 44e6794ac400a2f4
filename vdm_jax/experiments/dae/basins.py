"""Basins: where each start of a plane through three training images ends."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.dae.checks import numbers_of
from vdm_jax.experiments.dae.denoisers import Known, Pixels, unit_of
from vdm_jax.models.attractors import Ends, distinct, nearest_image

MARGIN = 0.6  # of the plane around the three images, as a share of their extent
ELSEWHERE = -1  # of starts that end at no known image


def plane_through(
    images: Float[np.ndarray, "3 d"], grid: int
) -> tuple[Float[np.ndarray, "g g d"], Float[np.ndarray, "3 2"], Float[np.ndarray, "2 2"]]:
    """(points of a plane [G, G, D], row by row upwards; the places of the images in it; its extent, the lowest and the
    highest coordinates). Distances in the plane are those of the images."""
    centre = images.mean(0)
    _, _, axes = np.linalg.svd(images - centre[None], full_matrices=False)
    places = (images - centre[None]) @ axes[:2].T
    low, high = places.min(0), places.max(0)
    middle, half = (low + high) / 2, (high - low).max() / 2 * (1 + MARGIN)
    extent = np.stack([middle - half, middle + half])
    across, up = (np.linspace(extent[0, i], extent[1, i], grid) for i in (0, 1))
    coordinates = np.stack(np.meshgrid(across, up), axis=-1)
    points = centre[None, None] + coordinates @ axes[:2]
    return points.astype(np.float32), places.astype(np.float32), extent.astype(np.float32)


def basins_of(
    daes: dict[str, Known],
    corners: Pixels,
    own: ConfigDict,
    run: Callable[..., Ends],
    data: Dataset,
) -> dict[str, np.ndarray]:
    """For each DAE but the linear one "basins NAME", [S, G, G] int32: the index of the known image at which a start
    ends, `ELSEWHERE` - k for the k-th other end. Also the places of the images in the plane, and its extent.

    corners: the first three images of the subset, which every DAE knows. own: `config.attractors`.
    """
    if not own.basin_grid:
        return {}
    points, places, extent = plane_through(corners.reshape(3, -1), own.basin_grid)
    starts = points.reshape(-1, *corners.shape[1:])
    found = {"plane_places": places, "plane_extent": extent}
    for name, known in daes.items():
        if name.startswith("linear"):
            continue
        sigmas, maps = numbers_of(own.basin_sigmas, "attractors.basin_sigmas"), []
        for sigma in sigmas:
            if not known.takes(sigma):
                maps.append(np.full(points.shape[:2], ELSEWHERE, np.int32))
                continue
            ends = run(known.dae, starts, sigma).x.reshape(len(starts), -1)
            maps.append(name_ends(known.images, ends, own.on_data * unit_of(data)).reshape(points.shape[:2]))
        found[f"basins {name}"] = np.stack(maps)
    return found


def name_ends(known: Pixels, ends: Float[np.ndarray, "b d"], on_data: float) -> np.ndarray:
    """The index of the known image within `on_data` of each end; `ELSEWHERE` - k for the k-th other end."""
    index, distance = nearest_image(known.reshape(len(known), -1), ends)
    away = distance >= on_data
    index[away] = ELSEWHERE - distinct(ends[away], on_data)
    return index
