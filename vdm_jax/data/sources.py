"""Where data sets come from: `load_data("digits")`, `load_data("npz", name="mnist")`."""

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import ImageData, downsampled
from vdm_jax.data.digits import load_digits
from vdm_jax.data.npz import load_npz


def _digits(name: str | None, data_dir: str | None, validation_size: int | None, num_levels: int | None) -> ImageData:
    given = {"name": name, "data_dir": data_dir, "validation_size": validation_size, "num_levels": num_levels}
    for setting, value in given.items():
        if value is not None:
            raise UserError(f"{setting}={value!r}: the data source 'digits' has no such choice; leave it unset")
    return load_digits()


def _npz(name: str | None, data_dir: str | None, validation_size: int | None, num_levels: int | None) -> ImageData:
    if not name:
        raise UserError("the data source 'npz' needs a name: name='mnist' reads mnist.npz in the data folder")
    return load_npz(name, data_dir, validation_size, num_levels)


SOURCES = {"digits": _digits, "npz": _npz}


def load_data(
    source: str,
    *,
    name: str | None = None,
    data_dir: str | None = None,
    validation_size: int | None = None,
    num_levels: int | None = None,
    downsample: int = 1,
) -> ImageData:
    """The data set, split into train, validation and test the same way in every run.

    source: one of `SOURCES`. For `npz`: `name` of the file, `data_dir` (None: the folder `VDM_DATA_DIR`),
    `validation_size` (None: a tenth of train, at most 5,000) and `num_levels` (None: the file's).
    downsample: average squares of that side; 2 makes 14x14 of 28x28. Raises `UserError`.
    """
    data = choose("data source", source, SOURCES)(name, data_dir, validation_size, num_levels)
    return data if downsample == 1 else downsampled(data, downsample)
