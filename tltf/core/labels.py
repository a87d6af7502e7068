"""What a model predicts, from which loss, activation and metrics follow."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tltf.errors import nearest


@dataclasses.dataclass(frozen=True)
class _Kind:
    """One row: everything that must agree for one kind of label."""

    activation: str
    loss: type
    metrics: tuple[tuple[type, str, dict], ...]


_KINDS = {
    "binary": _Kind(
        "sigmoid",
        keras.losses.BinaryCrossentropy,
        (
            (keras.metrics.BinaryAccuracy, "accuracy", {}),
            (keras.metrics.AUC, "auc", {}),
        ),
    ),
    "categorical": _Kind(
        "softmax",
        keras.losses.CategoricalCrossentropy,
        ((keras.metrics.CategoricalAccuracy, "accuracy", {}),),
    ),
    "multi_label": _Kind(
        "sigmoid",
        keras.losses.BinaryCrossentropy,
        (
            (keras.metrics.BinaryAccuracy, "accuracy", {}),
            (keras.metrics.AUC, "auc", {"multi_label": True}),
        ),
    ),
    "regression": _Kind(
        "linear",
        keras.losses.MeanSquaredError,
        (
            (keras.metrics.MeanAbsoluteError, "mae", {}),
            (keras.metrics.RootMeanSquaredError, "rmse", {}),
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class Labels:
    """The names and the kind of what is predicted.

    Activation, loss and metrics of a model are read from here, so that they
    cannot disagree with each other or with the labels.

    Args:
        classes: Names, one for each class or each regression target.
        kind: `"binary"` (two classes, one sigmoid unit), `"categorical"`
            (one of many, softmax), `"multi_label"` (any of many, sigmoids)
            or `"regression"`.

    Example:
    >>> Labels(("cat", "dog")).kind
    'binary'
    """

    classes: tuple[str, ...]
    kind: str = "auto"

    def __post_init__(self):
        classes = tuple(str(name) for name in self.classes)
        object.__setattr__(self, "classes", classes)
        if self.kind == "auto":
            kind = "binary" if len(classes) == 2 else "categorical"
            object.__setattr__(self, "kind", kind)
        self._check()

    def _check(self):
        if self.kind not in _KINDS:
            raise ValueError(
                f"`kind` of labels must be 'auto' or one of {list(_KINDS)}."
                f" Received: {self.kind!r}.{nearest(self.kind, _KINDS)}"
            )
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"`classes` must differ. Received: {self.classes}")
        fewest = {"binary": 2, "categorical": 2}.get(self.kind, 1)
        if len(self.classes) < fewest:
            raise ValueError(
                f"{self.kind} labels need at least {fewest} classes."
                f" Received: {self.classes}"
            )
        if self.kind == "binary" and len(self.classes) > 2:
            raise ValueError(
                "binary labels are two classes; use kind='categorical' or"
                f" 'multi_label'. Received: {self.classes}"
            )

    @classmethod
    def of(cls, classes: "int | Sequence[str] | Labels", kind: str = "auto"):
        """Makes labels from a number of classes, their names, or labels."""
        if isinstance(classes, Labels):
            return classes
        if isinstance(classes, (int, np.integer)):
            classes = tuple(str(i) for i in range(classes))
        if isinstance(classes, str):
            raise TypeError(
                "`classes` must be a number or a list of names."
                f" Received: {classes!r}"
            )
        return cls(tuple(classes), kind)

    @property
    def units(self) -> int:
        """How many numbers the last layer gives."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def activation(self) -> str:
        """The last layer's activation."""
        return _KINDS[self.kind].activation

    @property
    def are_classes(self) -> bool:
        """Whether exactly one class is right for each example."""
        return self.kind in ("binary", "categorical")

    @property
    def monitor(self) -> str:
        """The validation figure by which weights are chosen."""
        return "val_loss"

    def loss(self) -> keras.losses.Loss:
        """Returns the loss that fits, one value for each example."""
        return _KINDS[self.kind].loss(reduction=None)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns new metrics that fit."""
        return [
            metric(name=name, **arguments)
            for metric, name, arguments in _KINDS[self.kind].metrics
        ]

    def encode(self, labels) -> tf.Tensor:
        """Turns a batch of labels into targets for the loss.

        Args:
            labels: Class numbers `[batch]`, or values `[batch, units]`.

        Returns:
            float32 `[batch, units]`.
        """
        if self.kind == "categorical":
            return tf.one_hot(tf.cast(labels, tf.int32), self.units)
        return tf.reshape(tf.cast(labels, tf.float32), [-1, self.units])

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Spreads model outputs to one column for each class name.

        Args:
            outputs: `[batch, units]`, as the model gives them. NumPy or
                TensorFlow.

        Returns:
            `[batch, len(classes)]`.
        """
        if self.kind != "binary":
            return outputs
        if isinstance(outputs, np.ndarray):
            return np.concatenate([1.0 - outputs, outputs], axis=-1)
        return tf.concat([1.0 - outputs, outputs], axis=-1)

    def get_config(self) -> dict:
        """Returns plain data that `Labels(**config)` takes back."""
        return {"classes": list(self.classes), "kind": self.kind}
