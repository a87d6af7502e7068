"""The examples, the same arrays for every peer."""

import numpy as np

from benchmarks.peers.cases import CASES, Texts
from benchmarks.peers.task import CLASSES, SEED, Task


def make(task: Task) -> tuple[tuple, tuple]:
    """Makes training and validation data that can be learned.

    Returns:
        Two pairs `(inputs, labels)`. Inputs are uint8 pictures
        `[size, height, width, 3]`, or a dict of int32 token arrays
        `[size, length]` without padding; labels are int64 `[size]`.
    """
    random = np.random.default_rng(SEED)
    case = CASES[task.backbone]
    parts = []
    for size in (task.images, task.validation_images):
        labels = np.arange(size) % CLASSES
        if isinstance(case, Texts):
            inputs = _texts(random, labels, task.sequence_length, case)
        else:
            inputs = _pictures(random, labels, task.image_size)
        parts.append((inputs, labels))
    return tuple(parts)


def head_weights(width: int) -> list[np.ndarray]:
    """Returns the new layer's first kernel and bias."""
    random = np.random.default_rng(SEED + 1)
    kernel = random.normal(0, width**-0.5, (width, CLASSES))
    return [kernel.astype("float32"), np.zeros(CLASSES, "float32")]


def _pictures(random, labels, side):
    """Noise with a brighter stripe, elsewhere in each class."""
    images = random.integers(0, 200, (len(labels), side, side, 3), "uint8")
    stripe = side // CLASSES
    for image, label in zip(images, labels, strict=True):
        image[label * stripe : (label + 1) * stripe] += 55
    return images


def _texts(random, labels, length, case):
    """Random tokens, every fourth of which tells the class."""
    shape = (len(labels), length)
    tokens = random.integers(1000, case.vocabulary, shape, "int32")
    tokens[:, ::4] = 1000 + labels[:, None]
    return {
        "token_ids": tokens,
        "segment_ids": np.zeros(shape, "int32"),
        "padding_mask": np.ones(shape, "int32"),
    }
