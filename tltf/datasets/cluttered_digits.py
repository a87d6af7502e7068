"""Handwritten digits on a cluttered canvas: a small, real transfer task.

scikit-learn ships 1,797 handwritten digits of 8 x 8 pixels. Each is enlarged,
turned by up to 20 degrees and put at a random place of a canvas that is strewn
with fragments of other digits. Ten such pictures a class are too few to learn
from scratch what to look at, and enough for a backbone that learned it on
other digits.

The source task is 0-4, the target task 5-9. A handwritten digit belongs to one
split only; the fragments come from digits 0-4 that are in no split, so a
backbone of the source task has never seen a stroke of 5-9.
"""

import functools

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

SOURCE_CLASSES = ("0", "1", "2", "3", "4")
TARGET_CLASSES = ("5", "6", "7", "8", "9")
IMAGE_SIZE = 40

_CLUTTER_PER_CLASS = 20
_TEST_PER_CLASS = 70
_VALIDATION_PER_CLASS = 10
_DIGIT_SIZE = 20
_FRAGMENT_SIZE = 8
_FRAGMENTS = 4
_MAX_DEGREES = 20.0
# Fixed for good: the shipped weights and the published figures rest on it.
_FIXED_SEED = 20


def source(
    copies: int = 1,
    seed: int | tuple[int, ...] = 0,
    shuffled_labels: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the source task: the digits 0-4, `copies` pictures of each.

    Another seed draws the same handwritten digits at other places, turned and
    cluttered otherwise: fresh pictures for each epoch of pretraining.

    Args:
        copies: how many pictures are drawn of each handwritten digit.
        seed: seed of the places, angles and clutter.
        shuffled_labels: whether the labels are dealt out anew among the
            handwritten digits: once, whatever the seed, so that they can be
            memorised but say nothing of the shape of a digit.

    Returns:
        Images, uint8 `[n, 40, 40, 3]`, and labels, int64 `[n]`, in the order
        of the digits, all over again for each copy.
    """
    chosen = np.tile(indices()["source"], copies)
    labels = _classes()[indices()["source"]]
    if shuffled_labels:
        labels = np.random.default_rng(_FIXED_SEED).permutation(labels)
    return _draw(chosen, np.random.default_rng(seed)), np.tile(labels, copies)


def target(
    labels_per_class: int = 10, seed: int = 0
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draws the target task: few labelled pictures of the digits 5-9.

    Args:
        labels_per_class: how many handwritten digits a class has for training.
        seed: seed of which digits these are, and of how they are drawn. The
            validation and test pictures are the same for every seed.

    Returns:
        A dict of "train", "validation" and "test" to images, uint8
        `[n, 40, 40, 3]`, and labels, int64 `[n]`, where label 0 stands for
        the digit 5. Each handwritten digit is drawn once.

    Raises:
        ValueError: if there are not so many digits a class.
    """
    chosen = indices(labels_per_class, seed)
    generators = {
        "train": np.random.default_rng(seed),
        "validation": np.random.default_rng(_FIXED_SEED + 1),
        "test": np.random.default_rng(_FIXED_SEED + 2),
    }
    return {
        split: (
            _draw(chosen[split], generator),
            _classes()[chosen[split]] - len(SOURCE_CLASSES),
        )
        for split, generator in generators.items()
    }


def indices(labels_per_class: int = 10, seed: int = 0) -> dict[str, np.ndarray]:
    """Says which handwritten digits each split is made of.

    Args:
        labels_per_class: how many digits a class "train" has.
        seed: seed of which digits "train" has; the rest is fixed.

    Returns:
        A dict of "source", "clutter", "train", "validation" and "test" to
        rows of `sklearn.datasets.load_digits()`, with no row in two of them.

    Raises:
        ValueError: if there are not so many digits a class.
    """
    clutter, sources = _deal(range(5), (_CLUTTER_PER_CLASS,))
    test, validation, rest = _deal(
        range(5, 10), (_TEST_PER_CLASS, _VALIDATION_PER_CLASS)
    )
    most = min(map(len, rest))
    if not 1 <= labels_per_class <= most:
        raise ValueError(
            f"`labels_per_class` must be 1..{most}, the number of digits a "
            "class that are left beside the validation and test digits. "
            f"Received: {labels_per_class!r}."
        )
    generator = np.random.default_rng(seed)
    train = [generator.permutation(rows)[:labels_per_class] for rows in rest]
    names = ("source", "clutter", "train", "validation", "test")
    splits = (sources, clutter, train, validation, test)
    return dict(zip(names, map(np.concatenate, splits), strict=True))


def _deal(classes, sizes):
    """Deals each class's rows into piles of `sizes` and one of the rest."""
    generator = np.random.default_rng(_FIXED_SEED)
    dealt = []
    for label in classes:
        rows = generator.permutation(np.flatnonzero(_classes() == label))
        dealt.append(np.split(rows, np.cumsum(sizes)))
    return list(zip(*dealt, strict=True))


def _draw(rows, generator):
    """Draws each handwritten digit once, over its own clutter."""
    clutter = _enlarged(indices()["clutter"], generator)
    digits = _enlarged(rows, generator)
    canvas = np.zeros((len(rows), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for picture, digit in zip(canvas, digits, strict=True):
        for fragment in _fragments(clutter, generator):
            _put(picture, fragment, generator)
        _put(picture, digit, generator)
    return np.repeat(canvas[..., np.newaxis], 3, axis=-1)


def _fragments(clutter, generator):
    """Cuts square pieces out of randomly chosen clutter digits."""
    chosen = generator.integers(len(clutter), size=_FRAGMENTS)
    corners = generator.integers(
        _DIGIT_SIZE - _FRAGMENT_SIZE + 1, size=(_FRAGMENTS, 2)
    )
    for digit, (top, left) in zip(clutter[chosen], corners, strict=True):
        yield digit[top : top + _FRAGMENT_SIZE, left : left + _FRAGMENT_SIZE]


def _put(picture, patch, generator):
    """Lays the patch over a random place; the brighter pixel is seen."""
    size = len(patch)
    top, left = generator.integers(IMAGE_SIZE - size + 1, size=2)
    place = picture[top : top + size, left : left + size]
    np.maximum(place, patch, out=place)


def _enlarged(rows, generator):
    """Enlarges handwritten digits to 20 x 20 pixels, each at its angle."""
    handwritten = _digits().images[rows] * (255 / 16)
    angles = np.deg2rad(
        generator.uniform(-_MAX_DEGREES, _MAX_DEGREES, size=len(rows))
    )
    enlarged = [
        _turned(*pair) for pair in zip(handwritten, angles, strict=True)
    ]
    return np.rint(enlarged).astype(np.uint8)


def _turned(digit, angle):
    """Samples the digit about its centre, on a finer and turned grid."""
    cosine, sine = np.cos(angle), np.sin(angle)
    scale = len(digit) / _DIGIT_SIZE
    turn = scale * np.array([[cosine, -sine], [sine, cosine]])
    offset = (len(digit) - 1) / 2 - turn @ np.full(2, (_DIGIT_SIZE - 1) / 2)
    return ndimage.affine_transform(
        digit, turn, offset, output_shape=(_DIGIT_SIZE,) * 2, order=1
    )


def _classes():
    return _digits().target


@functools.cache
def _digits():
    return load_digits()
