"""What a model says of some data, with the truth beside it."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tltf.core.model import TransferModel
from tltf.core.passes import as_is
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.errors import TrainingError
from tltf.reports.fitting import (
    check_split,
    checked_targets,
    class_numbers,
)
from tltf.reports.worst import wrongness

_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Probabilities, the truth, and the examples that are most wrong.

    Args:
        targets: Class numbers `[size]`, or values `[size, units]`.
        probabilities: One column a class, or values for regression.
        worst: Numbers of the most wrong, first the worst.
        raw: For each of those the example: the bytes of a file, a string,
            an array, or whatever else the model took.
        names: Where each of those came from, or None.
    """

    targets: np.ndarray
    probabilities: np.ndarray
    worst: list[int]
    raw: list
    names: list[str] | None


def predict(model: TransferModel, data, worst: int) -> Predictions:
    """Runs a model once over data.

    Args:
        model: What predicts.
        data: A `Split`, a `tf.data.Dataset` of `(inputs, labels)`, batched
            or not, or a tuple of arrays `(inputs, labels)`.
        worst: How many of the most wrong examples to keep.
    """
    if isinstance(data, tf.data.Dataset):
        return _of_dataset(model, data, worst)
    if isinstance(data, tuple) and len(data) == 2:
        inputs, targets = data
        data = inputs, class_numbers(model.labels, np.asarray(targets))
        data = Splits.from_arrays(data, data, classes=model.labels).train
    if not isinstance(data, Split):
        raise TypeError(
            "Give a split such as `splits.test`, a `tf.data.Dataset` of"
            " (inputs, labels), or a tuple of arrays (inputs, labels)."
            f" Received: {type(data).__name__}"
        )
    return _of_split(model, data, worst)


def _of_split(model, split, worst):
    check_split(model, split)
    batches = split.batches(preprocess=model.preprocess)
    outputs = model.predict(
        batches.map(as_is(lambda inputs, _: inputs)), verbose=0
    )
    probabilities = _probabilities(model.labels, outputs)
    wrong = wrongness(model.labels, split.targets, probabilities)
    chosen = _most(wrong, worst)
    names = split.names and [split.names[i] for i in chosen]
    raw = _examples(split, chosen)
    return Predictions(split.targets, probabilities, chosen, raw, names)


def _of_dataset(model, dataset, worst):
    """Keeps inputs on the way: a shuffled dataset comes but once as it is."""
    targets, probabilities, kept, size = [], [], [], 0
    for inputs, truth, raw in _batched(model, dataset):
        truth = class_numbers(model.labels, truth.numpy())
        outputs = model.predict_on_batch(inputs)
        targets.append(checked_targets(model.labels, truth))
        probabilities.append(_probabilities(model.labels, outputs))
        wrong = wrongness(model.labels, targets[-1], probabilities[-1])
        kept += [
            (-wrong[i], size + i, _at(i, raw)) for i in _most(wrong, worst)
        ]
        kept = sorted(kept, key=lambda row: row[:2])[:worst]
        size += len(truth)
    if not size:
        raise ValueError("The dataset has no examples to evaluate.")
    return Predictions(
        np.concatenate(targets),
        np.concatenate(probabilities),
        worst=[number for _, number, _ in kept],
        raw=[raw for _, _, raw in kept],
        names=None,
    )


def _batched(model, dataset) -> Iterator:
    """Yields batches `(inputs, labels, raw)`."""
    if not isinstance(dataset.element_spec, tuple):
        raise ValueError(
            "The dataset must give (inputs, labels)."
            f" Received: {dataset.element_spec}"
        )
    spec = tf.nest.flatten(dataset.element_spec[0])[0]
    is_raw = spec.dtype == tf.string and model.preprocess is not None
    rank = 1 if is_raw else len(model.inputs[0].shape)
    is_batched = spec.shape.rank == rank
    prepare = model.preprocess if is_raw else lambda inputs: inputs

    def example(raw, label, *_):
        return prepare(raw), label, raw

    if is_raw and not prepare.is_batched:
        singles = dataset.unbatch() if is_batched else dataset
        return singles.map(as_is(example), tf.data.AUTOTUNE).batch(_BATCH_SIZE)
    batches = dataset if is_batched else dataset.batch(_BATCH_SIZE)
    return batches.map(as_is(example))


def _probabilities(labels, outputs):
    bad = int((~np.isfinite(outputs)).any(axis=-1).sum())
    if bad:
        raise TrainingError(
            f"{bad} of {len(outputs)} predictions hold NaN or infinity. The"
            " weights may have diverged (train with a smaller learning rate)"
            " or the inputs hold such values."
        )
    return labels.probabilities(np.asarray(outputs, "float32"))


def _most(wrong, count):
    order = np.argsort(-wrong, kind="stable")[:count]
    return [int(i) for i in order if wrong[i] > -np.inf]


def _examples(split: Split, chosen: list[int]) -> list:
    """Fetches single raw examples again, the content of files included."""
    if not chosen:
        return []
    if isinstance(split.examples, tf.data.Dataset):
        wanted = tf.constant(chosen, tf.int64)
        numbered = split.examples.take(max(chosen) + 1).enumerate()
        found = {
            int(i): _at((), raw)
            for i, (raw, *_) in numbered.filter(
                lambda i, _: tf.reduce_any(wanted == i)
            )
        }
        raw = [found[i] for i in chosen]
    else:
        raw = [_at(i, split.examples) for i in chosen]
    if split.is_files:
        return [tf.io.read_file(path).numpy() for path in raw]
    return raw


def _at(index, values):
    """Takes one example out of arrays or tensors, or a dict of them."""
    return tf.nest.map_structure(lambda x: np.asarray(x)[index], values)
