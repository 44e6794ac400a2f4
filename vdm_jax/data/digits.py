"""The 1,797 handwritten digits that come with scikit-learn: 8x8, grey levels 0 … 16, ten classes."""

import numpy as np

from vdm_jax.base.images import even_pixel_values
from vdm_jax.base.sklearn import import_sklearn
from vdm_jax.data.dataset import ImageData, Split, stratified_parts

NUM_LEVELS = 17
SPLIT_SIZES = (1297, 200, 300)  # train, validation, test
SPLIT_SEED = 0  # the split is part of the data set and the same in every run


def load_digits() -> ImageData:
    """The fixed stratified split 1,297 / 200 / 300. Raises `UserError` where scikit-learn is missing."""
    images, labels = import_sklearn("datasets", "the data source 'digits'").load_digits(return_X_y=True)
    levels, labels = images.reshape(-1, 8, 8, 1).astype(np.uint8), labels.astype(np.int32)
    parts = stratified_parts(labels, SPLIT_SIZES, SPLIT_SEED)
    train, validation, test = (Split(levels[part], labels[part]) for part in parts)
    names = tuple(str(digit) for digit in range(10))
    return ImageData("digits", train, validation, test, even_pixel_values(NUM_LEVELS), names)
