"""Whether data fit a model, said before anything is computed."""

import numpy as np
import tensorflow as tf

from tltf.core.labels import Labels
from tltf.core.model import TransferModel, check_kinds
from tltf.core.split import Split


def check_split(model: TransferModel, split: Split) -> None:
    """Checks classes, preprocess and shape of a split.

    Raises:
        ValueError: One of them is not what the model takes.
    """
    if split.labels != model.labels:
        raise ValueError(
            "The data and the model must have the same classes in the same"
            f" order. Received: {split.labels} and {model.labels}"
        )
    check_kinds(model, split)
    own, models = split.preprocess, model.preprocess
    if own is not None and models is not None and own != models:
        raise ValueError(
            "The data were loaded for another model: they are prepared by"
            f" {_told(own)}, the model takes {_told(models)}. Load the data"
            " again with what the model takes."
        )
    _check_shape(model, split)


def class_numbers(labels: Labels, targets: np.ndarray) -> np.ndarray:
    """Turns one-hot rows into class numbers; leaves others as they are."""
    is_one_hot = labels.kind == "categorical" and targets.ndim == 2
    if is_one_hot and targets.shape[1] == len(labels.classes):
        return targets.argmax(axis=1)
    return targets


def checked_targets(labels: Labels, targets: np.ndarray) -> np.ndarray:
    """Returns class numbers `[batch]` or values `[batch, units]`.

    Raises:
        ValueError: They are no such labels.
    """
    if not labels.are_classes:
        return targets.reshape(len(targets), -1)
    classes = len(labels.classes)
    if targets.size == len(targets) and targets.dtype.kind in "iuf":
        numbers = targets.reshape(-1).astype("int64")
        is_whole = (numbers == targets.reshape(-1)).all()
        if is_whole and numbers.min() >= 0 and numbers.max() < classes:
            return numbers
    raise ValueError(
        f"Labels of the dataset must be whole numbers 0..{classes - 1} or"
        f" one-hot rows. Received: {targets[:5]}"
    )


def _check_shape(model, split):
    """Says in our words what a wrong picture size is, before Keras does."""
    spec = tf.nest.flatten(split.batches(model.preprocess).element_spec[0])
    if len(spec) != 1 or len(model.inputs) != 1:
        return
    wanted = tf.TensorShape(model.inputs[0].shape)
    if not spec[0].shape.is_compatible_with(wanted):
        raise ValueError(
            f"The model takes inputs {wanted[1:]}, the data have"
            f" {spec[0].shape[1:]}."
        )


def _told(preprocess):
    if preprocess.kind == "image":
        return str(preprocess)
    return f"another {type(preprocess).__name__}"
