"""Where data sets come from: `load_data("digits")`, `load_data("npz", name="mnist")`, or "tfds" in place of "npz"."""

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import ImageData, downsampled
from vdm_jax.data.digits import load_digits
from vdm_jax.data.npz import load_npz
from vdm_jax.data.tfds import load_tfds

# How each is loaded, and which of the settings below it takes.
SOURCES = {
    "digits": (load_digits, ()),
    "npz": (load_npz, ("name", "data_dir", "validation_size", "num_levels")),
    "tfds": (load_tfds, ("name", "data_dir", "validation_size", "num_levels", "max_gib")),
}


def load_data(
    source: str,
    *,
    name: str | None = None,
    data_dir: str | None = None,
    validation_size: int | None = None,
    num_levels: int | None = None,
    max_gib: float | None = None,
    downsample: int = 1,
) -> ImageData:
    """The data set, split into train, validation and test the same way in every run.

    source: one of `SOURCES`. name: of the npz file without its ending, or TFDS's. data_dir: the folder it is in (None:
    `VDM_DATA_DIR` for npz; `TFDS_DATA_DIR`, else ~/tensorflow_datasets, for tfds). validation_size: None for a tenth of
    train, at most 5,000. num_levels: None for the file's own, or 256. max_gib: the largest TFDS data set that is read
    into memory (None: 8 GiB). downsample: average squares of that side; 2 makes 14x14 of 28x28. Raises `UserError`.
    """
    load, takes = choose("data source", source, SOURCES)
    settings = {
        "name": name,
        "data_dir": data_dir,
        "validation_size": validation_size,
        "num_levels": num_levels,
        "max_gib": max_gib,
    }
    for setting, value in settings.items():
        if setting not in takes and value is not None:
            raise UserError(f"{setting}={value!r}: the data source {source!r} has no such choice; leave it unset")
    if "name" in takes and not name:
        raise UserError(f"the data source {source!r} needs a name, such as name='mnist'")
    data = load(**{setting: settings[setting] for setting in takes})
    return data if downsample == 1 else downsampled(data, downsample)
