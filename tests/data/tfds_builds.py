"""Tiny TFDS builds, written without TensorFlow: images are handed over as PNG files, which tfds stores as they are."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

NAMES = ["cat", "dog", "fox"]


def arrays(shape=(6, 5, 3), sizes=(("train", 60), ("test", 20))) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels of each split; all images differ."""
    random = np.random.default_rng(0)
    return {split: (random.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % 3) for split, n in sizes}


def png(image: np.ndarray) -> bytes:
    """The file of a grey or colour image [H, W, C]."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, format="png")
    return file.getvalue()


def write_build(folder, splits, *, builder="tiny_images", version="1.2.3", features=None, examples=None) -> None:
    """BUILDER/VERSION below `folder`. features, examples: in place of images of one shape and one of three labels."""
    shape = next(iter(splits.values()))[0].shape[1:]
    features = features or {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=NAMES)}

    def example(image, label):
        whole = (
            {"image": png(image), "label": int(label), "weight": 0.5} if examples is None else examples(image, label)
        )
        return {name: whole[name] for name in features}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = builder
        VERSION = tfds.core.Version(version)
        pkg_dir_path = folder

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(*pair) for split, pair in splits.items()}

        def _generate_examples(self, images, labels):
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield i, example(image, label)

    Builder(data_dir=str(folder), file_format="array_record").download_and_prepare()
