"""What a trained model says of new pictures or texts.

The public name is `tltf.predict`; a module of that name would hide it.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tltf.core import passes
from tltf.core.model import TransferModel
from tltf.core.targets import natural_order
from tltf.datasets import inspect


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says of one picture or text.

    Args:
        item: The path of the picture, or the text.
        values: Each class and its probability, the most probable first; for
            regression each target and its value. Empty where there is none.
        error: Why there is none, or None.
    """

    item: str
    values: dict[str, float]
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class."""
        return next(iter(self.values), None)

    @property
    def probability(self) -> float | None:
        """That class's probability."""
        return next(iter(self.values.values()), None)


def predict(
    model: TransferModel,
    items: Iterable[str | os.PathLike],
    *,
    batch_size: int = 32,
) -> list[Prediction]:
    """Lets a model predict, with the preprocessing that it is served with.

    A picture that cannot be read does not stop the others: its row says what
    is wrong with it.

    Args:
        model: A trained `TransferModel`.
        items: Paths of pictures and of folders of pictures; or texts, for a
            model of texts.
        batch_size: How many at once.

    Returns:
        A row for each item, in their order; a folder gives one for each
        file, however deep it lies, hidden ones apart.

    Raises:
        ValueError: The model has no `preprocess`.

    Example:
    >>> model = keras.models.load_model("runs/flowers/last.keras")
    >>> [row.label for row in predict(model, ["rose.jpg", "tulip.jpg"])]
    ['rose', 'tulip']
    """
    if not isinstance(model, TransferModel):
        raise TypeError(
            "`model` must be a TransferModel, which knows its classes."
            f" Received: {type(model).__name__}"
        )
    if model.preprocess is None:
        raise ValueError(
            "The model has no `preprocess`, so it takes neither files nor"
            " texts. Call it on arrays, or set `model.preprocess`."
        )
    if isinstance(items, (str, os.PathLike)):
        raise TypeError(f"`items` must be a list. Received: {items!r}")
    if model.preprocess.kind == "image":
        items, read = [p for item in items for p in _files(item)], _pictures
    else:
        items, read = list(map(str, items)), _texts
    return [
        row
        for start in range(0, len(items), batch_size)
        for row in _batch(model, items[start : start + batch_size], read)
    ]


def _files(item: str | os.PathLike) -> Iterator[str]:
    """Yields a file, or the files in a folder, in natural order."""
    if not os.path.isdir(item):
        yield os.fspath(item)
        return
    for folder, folders, names in os.walk(item):
        folders[:] = natural_order(n for n in folders if n[0] != ".")
        for name in natural_order(n for n in names if n[0] != "."):
            yield os.path.join(folder, name)


def _batch(model, items: Sequence[str], read) -> list[Prediction]:
    inputs, errors = read(model.preprocess, items)
    good = [i for i, error in enumerate(errors) if error is None]
    rows = [
        Prediction(item, {}, error)
        for item, error in zip(items, errors, strict=True)
    ]
    if good:
        outputs = np.asarray(model(inputs, training=False))
        outputs = model.labels.probabilities(outputs)
        for i, values in zip(good, outputs, strict=True):
            rows[i] = Prediction(items[i], _named(model.labels, values))
    return rows


def _pictures(preprocess, paths: Sequence[str]) -> tuple:
    """Decodes those that are good, and says why others are not."""
    errors = [_missing(path) for path in paths]
    there = [i for i, error in enumerate(errors) if error is None]
    reasons = inspect.inspect([paths[i] for i in there], preprocess)
    for i, reason in zip(there, reasons, strict=True):
        errors[i] = reason
    good = [p for p, error in zip(paths, errors, strict=True) if error is None]
    # A plain list would lose its type where it is empty.
    pictures = (
        tf.data.Dataset.from_tensor_slices(tf.constant(good, tf.string))
        .map(tf.io.read_file)
        .map(passes.as_is(preprocess), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(max(len(good), 1))
    )
    return next(iter(pictures), None), errors


def _missing(path: str) -> str | None:
    """Says why a path is not to be opened, or None."""
    if not os.path.lexists(path):
        return "is not there"
    # A path that was named may lead anywhere.
    return inspect.unsafe(path, pathlib.Path(path).absolute().anchor)


def _texts(preprocess, texts: Sequence[str]) -> tuple:
    return preprocess(tf.constant(texts)), [None] * len(texts)


def _named(labels, values) -> dict[str, float]:
    named = dict(zip(labels.classes, map(float, values), strict=True))
    if labels.kind == "regression":
        return named
    return dict(sorted(named.items(), key=lambda pair: -pair[1]))
