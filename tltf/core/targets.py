"""Labels as people have them, checked and turned into numbers."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from tltf.core.labels import Labels
from tltf.errors import DataError, nearest


def natural_order(names: Iterable[str]) -> list[str]:
    """Sorts names so that numbers in them count: 1, 2, 10.

    The one order in which classes are numbered, whatever the source.
    """

    def key(name):
        parts = re.split(r"(\d+)", name)
        return [int(p) if i % 2 else p for i, p in enumerate(parts)], name

    return sorted(set(names), key=key)


def find_labels(
    values: np.ndarray, classes: int | Sequence[str] | Labels | None = None
) -> Labels:
    """Says what labels mean, from the labels themselves if need be.

    Args:
        values: Class numbers or names `[size]` or `[size, 1]`.
        classes: What they mean, if that is known.

    Raises:
        DataError: They are no classes, or leave a class number out.
    """
    if classes is not None:
        return Labels.of(classes)
    values = _column(values)
    if values.ndim != 1 or values.dtype.kind == "f":
        raise DataError(
            "Labels are no class numbers or names, so say what they are:"
            " classes=tltf.Labels(names, 'multi_label' or 'regression'); for"
            " one-hot labels give the class names."
            f" Received: {values.dtype} {values.shape}"
        )
    if values.dtype.kind in "iu":
        found = np.unique(values)
        _check_numbered(found)
    else:
        found = natural_order(_names(values, "train"))
    if len(found) < 2:
        raise DataError(
            f"All labels are {found[0]!r}; a classifier needs two classes."
        )
    return Labels(tuple(map(str, found)))


def to_targets(values: np.ndarray, labels: Labels, part: str) -> np.ndarray:
    """Checks the labels of one part and turns names into numbers.

    Args:
        values: Class numbers or names `[size]` or `[size, 1]`, one-hot
            classes `[size, classes]`, or values `[size, units]`.
        labels: What they mean.
        part: Name of the part, for the message.

    Returns:
        int32 `[size]`, or float32 `[size, units]` if not `are_classes`.

    Raises:
        DataError: A label is missing, not finite, or no class.
    """
    if not labels.are_classes:
        return _values(values, labels, part)
    values = _column(values)
    if values.ndim == 2 and values.shape[1] == len(labels.classes):
        values = _from_one_hot(values, part)
    if values.ndim != 1:
        raise DataError(
            f"`{part}` has labels of shape {values.shape}, where one class"
            f" number or name each was expected: [{len(values)}]."
        )
    if values.dtype.kind in "OUS":
        return _numbers_of(_names(values, part), labels, part)
    _check_finite(values, part)
    if (values != np.floor(values)).any():
        raise DataError(f"`{part}` has labels that are no whole numbers.")
    if values.min() < 0 or values.max() >= len(labels.classes):
        raise DataError(
            f"`{part}` has labels {values.min()}..{values.max()}, but there"
            f" are {len(labels.classes)} classes, so 0.."
            f"{len(labels.classes) - 1} was expected."
        )
    return values.astype("int32")


def _column(values: np.ndarray) -> np.ndarray:
    """Makes `[size, 1]` to `[size]`, and truth values to numbers."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return values.astype("int32") if values.dtype.kind == "b" else values


def _check_numbered(found: np.ndarray) -> None:
    """Checks that sorted class numbers are 0, 1, 2, … without a gap."""
    gaps = np.flatnonzero(found != np.arange(len(found)))
    if len(gaps):
        raise DataError(
            f"Class numbers are {found[0]}..{found[-1]}, but class {gaps[0]}"
            " has no examples. Number the classes from 0 without gaps; or give"
            " labels as names, `labels.astype(str)`; or say how many classes"
            " there are, such as"
            f" classes={found[-1] + 1}, if one is meant to be empty."
        )


def _names(values: np.ndarray, part: str) -> list[str]:
    """Turns labels into strings, none of which may be missing."""
    names = []
    for row, value in enumerate(values):
        if isinstance(value, bytes):
            value = value.decode()
        if not isinstance(value, (str, int, np.integer)):
            raise DataError(
                f"`{part}` row {row} has no label, or one that is no name:"
                f" {value!r}. Leave such rows out."
            )
        names.append(str(value))
    return names


def _numbers_of(names: list[str], labels: Labels, part: str) -> np.ndarray:
    number = {name: i for i, name in enumerate(labels.classes)}
    unknown = natural_order(set(names) - set(number))
    if unknown:
        raise DataError(
            f"`{part}` has labels that are no class: {unknown[:5]}. The"
            f" classes are {labels.classes[:20]}."
            f"{nearest(unknown[0], number)}"
        )
    return np.array([number[name] for name in names], "int32")


def _from_one_hot(values: np.ndarray, part: str) -> np.ndarray:
    is_one_hot = values.dtype.kind in "iuf" and np.array_equal(
        np.sort(values, axis=1)[:, -2:],
        np.tile([0, 1], (len(values), 1)),
    )
    if not is_one_hot or (values.sum(axis=1) != 1).any():
        raise DataError(
            f"`{part}` has labels of shape {values.shape} that are not one-hot"
            " (a single 1 in each row). If several classes can be right, say"
            " classes=tltf.Labels(names, 'multi_label')."
        )
    return values.argmax(axis=1)


def _values(values: np.ndarray, labels: Labels, part: str) -> np.ndarray:
    values = np.asarray(values)
    try:
        values = values.astype("float32").reshape(len(values), -1)
    except (TypeError, ValueError):
        raise DataError(
            f"`{part}` has labels that are no numbers: {values[0]!r}"
        ) from None
    if values.shape[1] != labels.units:
        raise DataError(
            f"`{part}` has {values.shape[1]} values a label, but"
            f" {labels.units} are named: {labels.classes}"
        )
    _check_finite(values, part)
    if labels.kind == "multi_label" and not np.isin(values, (0, 1)).all():
        raise DataError(
            f"`{part}` has multi_label labels that are neither 0 nor 1."
        )
    return values


def _check_finite(values: np.ndarray, part: str) -> None:
    if not np.isfinite(values).all():
        row = int(np.where(~np.isfinite(values))[0][0])
        raise DataError(f"The label of `{part}` row {row} is not finite.")
