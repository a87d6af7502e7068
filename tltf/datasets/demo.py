"""The shipped demo task: cluttered digits, few labels, no download."""

import os

import numpy as np
import tensorflow as tf

from tltf.core.labels import Labels
from tltf.core.preprocess import ImagePreprocess
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.datasets import cluttered_digits
from tltf.errors import DataError, nearest

_NAMES = ("digits",)


def load(
    name: str = "digits",
    *,
    image_size: int | tuple[int, int] = cluttered_digits.IMAGE_SIZE,
    batch_size: int = 32,
    seed: int = 0,
    resize: str = "stretch",
    labels_per_class: int = 10,
) -> Splits:
    """Draws the target task of `cluttered_digits`, the digits 5 to 9.

    The pictures come as PNG, so that they take the way that files take.

    Args:
        name: `"digits"`.
        image_size: Pixels, or (height, width); drawn at 40 x 40.
        batch_size: Global batch size.
        seed: Of which digits train has and how they are drawn. Validation
            and test are the same for every seed.
        resize: `"stretch"`, `"crop"` or `"pad"`, see `ImagePreprocess`.
        labels_per_class: How many training pictures a class has.
    """
    if name not in _NAMES:
        raise DataError(
            f"There is no demo '{name}'; there is demo:digits."
            f"{nearest(name, _NAMES)}"
        )
    labels = Labels(cluttered_digits.TARGET_CLASSES)
    preprocess = ImagePreprocess(image_size, resize)
    drawn = cluttered_digits.target(labels_per_class, seed)
    parts = {
        part: Split(
            np.array([_png(image) for image in images], dtype=object),
            numbers.astype("int32"),
            labels,
            names=tuple(f"{part}/{i}.png" for i in range(len(images))),
            preprocess=preprocess,
            batch_size=batch_size,
        )
        for part, (images, numbers) in drawn.items()
    }
    return Splits.from_parts(parts, source=f"demo:{name}")


def write_folder(path: str, labels_per_class: int = 10, seed: int = 0) -> None:
    """Writes the demo's pictures as PNG files for `folder:PATH`.

    They lie as train/5/0.png and so on, beside validation and test.

    Args:
        path: The folder, which is made if need be.
        labels_per_class: How many training pictures a class has.
        seed: Of which digits train has and how they are drawn.
    """
    drawn = cluttered_digits.target(labels_per_class, seed)
    for part, (images, numbers) in drawn.items():
        for i, (image, number) in enumerate(zip(images, numbers, strict=True)):
            name = cluttered_digits.TARGET_CLASSES[number]
            folder = os.path.join(path, part, name)
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, f"{i}.png"), "wb") as file:
                file.write(_png(image))


def _png(image: np.ndarray) -> bytes:
    return tf.io.encode_png(image).numpy()
