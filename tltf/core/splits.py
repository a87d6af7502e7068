"""Train, validation and test data together, and how they came about."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tltf.core.errors import DataError
from tltf.core.labels import Labels
from tltf.core.split import Split


@dataclasses.dataclass(frozen=True)
class Skipped:
    """Something in the data that was left out, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Splits:
    """Train, validation and test data with class names.

    Args:
        train: What the model learns from.
        validation: What stages are stopped and weights chosen by.
        test: What is measured at the end; None if there is none.
        source: Where the data came from, such as `folder:flowers/`.
        skipped: What was left out, with reasons.
        notes: What a user should know: imbalance, a split that was made.

    Example:
    >>> splits = Splits.from_arrays((images, labels), classes=["cat", "dog"])
    >>> images, labels = next(iter(splits.train))
    """

    train: Split
    validation: Split
    test: Split | None = None
    source: str = "arrays"
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> Labels:
        """What is predicted."""
        return self.train.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return self.labels.classes

    @property
    def parts(self) -> dict[str, Split]:
        """The parts that there are, by name."""
        parts = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_arrays(
        cls,
        train: tuple,
        validation: tuple | None = None,
        test: tuple | None = None,
        *,
        classes: Sequence[str] | Labels | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> "Splits":
        """Makes splits from NumPy arrays or pandas columns.

        Args:
            train: `(inputs, labels)`. Inputs are pictures
                `[size, height, width, channels]` with values 0..255, or
                texts `[size]`, or anything a model of yours takes. Labels
                are class numbers or names `[size]`, or values
                `[size, units]` with `classes` a `Labels` of that kind.
            validation: The same; default, a stratified fifth of `train`.
            test: The same, if there is one.
            classes: Names in the order of their numbers; default, the labels
                found in `train`, sorted.
            batch_size: Global batch size.
            seed: Of the split, where one is made.
        """
        examples, targets = _arrays(train, "train")
        labels = _labels(targets, classes)
        targets = _targets(targets, labels, "train")
        notes = ()
        if validation is None:
            kept, held = stratified(targets, labels, 0.2, seed)
            validation = _take(examples, held), targets[held]
            examples, targets = _take(examples, kept), targets[kept]
            notes = (_held_out(len(held), seed),)
        else:
            values, held = _arrays(validation, "validation")
            validation = values, _targets(held, labels, "validation")
        if test is not None:
            values, held = _arrays(test, "test")
            test = values, _targets(held, labels, "test")
        parts = [
            part and Split(*part, labels, batch_size=batch_size)
            for part in ((examples, targets), validation, test)
        ]
        return cls(*parts, notes=notes)

    @classmethod
    def from_datasets(
        cls,
        train: tf.data.Dataset,
        validation: tf.data.Dataset,
        test: tf.data.Dataset | None = None,
        *,
        classes: Sequence[str] | Labels | None = None,
        batch_size: int = 32,
    ) -> "Splits":
        """Makes splits from `tf.data` datasets of `(inputs, labels)`.

        Each dataset is read once, to count its labels, and must give its
        elements in the same order every time. Batched datasets are unbatched.

        Args:
            train: Pictures with values 0..255 and class numbers.
            validation: The same.
            test: The same, if there is one.
            classes: Names in the order of their numbers.
            batch_size: Global batch size.
        """
        datasets = [d and _unbatched(d) for d in (train, validation, test)]
        targets = [
            d and np.array([y for _, y in d.as_numpy_iterator()])
            for d in datasets
        ]
        labels = _labels(targets[0], classes)
        names = ("train", "validation", "test")
        parts = [
            d
            and Split(
                d, _targets(y, labels, name), labels, batch_size=batch_size
            )
            for d, y, name in zip(datasets, targets, names, strict=True)
        ]
        return cls(*parts, source="tf.data")


def stratified(
    targets: np.ndarray, labels: Labels, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses examples to hold out, the same share of every class.

    Args:
        targets: Class numbers `[size]`, or values `[size, units]`.
        labels: What they mean.
        fraction: The share to hold out, at least one example a class.
        seed: Of the choice.

    Returns:
        Numbers of the examples kept and of those held out, both sorted.

    Raises:
        DataError: A class has fewer than two examples.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(targets))
    classes = None
    if labels.are_classes:
        classes = targets
        counts = np.bincount(targets.astype(int), minlength=labels.units)
        if counts[counts > 0].min() < 2:
            rare = labels.classes[int(np.where(counts == 1)[0][0])]
            raise DataError(
                f"Class '{rare}' has one example: none can be held out for"
                " validation. Add examples, remove the class, or name a"
                " validation set of your own."
            )
        held = max(round(len(targets) * fraction), int((counts > 0).sum()))
        held = min(held, len(targets) - int((counts > 0).sum()))
    else:
        held = max(round(len(targets) * fraction), 1)
    kept, held = train_test_split(
        everything, test_size=held, random_state=seed, stratify=classes
    )
    return np.sort(kept), np.sort(held)


def imbalance(counts: dict[str, int] | None) -> str | None:
    """Says in a sentence that classes are uneven, if the ratio is over 3."""
    if not counts or min(counts.values()) * 3 >= max(counts.values()):
        return None
    rare, common = min(counts, key=counts.get), max(counts, key=counts.get)
    return (
        f"Classes are uneven: '{common}' has {counts[common]} examples,"
        f" '{rare}' {counts[rare]}. class_weights='balanced' weighs them"
        " equally; look at recall per class, not at accuracy alone."
    )


def _held_out(count: int, seed: int) -> str:
    return (
        f"No validation set was given: {count} examples of the training set"
        f" were held out, stratified by class, seed {seed}."
    )


def _arrays(pair: tuple, name: str) -> tuple:
    try:
        inputs, targets = pair
    except (TypeError, ValueError):
        raise TypeError(
            f"`{name}` must be a pair (inputs, labels)."
            f" Received: {type(pair).__name__}"
        ) from None
    inputs = tf.nest.map_structure(_array, inputs)
    targets = np.asarray(targets)
    size = len(tf.nest.flatten(inputs)[0])
    if size != len(targets) or size == 0:
        raise DataError(
            f"`{name}` has {size} inputs and {len(targets)} labels; as many"
            " of the one as of the other are needed, and at least one."
        )
    return inputs, targets


def _array(values) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(str) if values.dtype == object else values


def _labels(targets: np.ndarray, classes) -> Labels:
    if isinstance(classes, Labels):
        return classes
    if classes is not None:
        return Labels.of(classes)
    if targets.ndim != 1 or targets.dtype.kind == "f":
        raise DataError(
            "Labels are no class numbers or names, so say what they are:"
            " classes=tltf.core.labels.Labels(names, 'multi_label' or"
            f" 'regression'). Received: {targets.dtype} {targets.shape}"
        )
    found = np.unique(targets)
    if len(found) < 2:
        raise DataError(
            f"All labels are {found[0]!r}; a classifier needs two classes."
        )
    if targets.dtype.kind in "iu":
        return Labels.of(int(found.max()) + 1)
    return Labels(tuple(map(str, found)))


def _targets(targets: np.ndarray, labels: Labels, name: str) -> np.ndarray:
    """Checks the labels of one part and turns names into numbers."""
    if not labels.are_classes:
        targets = np.asarray(targets, "float32").reshape(len(targets), -1)
        if targets.shape[1] != labels.units:
            raise DataError(
                f"`{name}` has {targets.shape[1]} values a label, but"
                f" {labels.units} are named: {labels.classes}"
            )
        if not np.isfinite(targets).all():
            row = int(np.where(~np.isfinite(targets))[0][0])
            raise DataError(f"The label of `{name}` row {row} is not finite.")
        return targets
    if targets.dtype.kind in "OUS":
        number = {name: i for i, name in enumerate(labels.classes)}
        unknown = sorted(set(map(str, targets)) - set(number))
        if unknown:
            raise DataError(
                f"`{name}` has labels that are no class: {unknown[:5]}."
                f" The classes are {labels.classes}"
            )
        return np.array([number[str(t)] for t in targets], "int32")
    numbers = targets.reshape(len(targets)).astype("int32")
    if (numbers != targets.reshape(-1)).any():
        raise DataError(f"`{name}` has labels that are no whole numbers.")
    if numbers.min() < 0 or numbers.max() >= len(labels.classes):
        raise DataError(
            f"`{name}` has labels {numbers.min()}..{numbers.max()}, but there"
            f" are {len(labels.classes)} classes, so 0.."
            f"{len(labels.classes) - 1} was expected."
        )
    return numbers


def _take(inputs, index):
    return tf.nest.map_structure(lambda values: values[index], inputs)


def _unbatched(dataset: tf.data.Dataset) -> tf.data.Dataset:
    inputs, labels = dataset.element_spec
    first = tf.nest.flatten(inputs)[0]
    single = {tf.string: 0}.get(first.dtype, 3)
    if first.shape.rank == single + 1:
        return dataset.unbatch()
    return dataset
