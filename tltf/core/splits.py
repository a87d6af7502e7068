"""Train, validation and test data together, and how they came about."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tltf.core import sources
from tltf.core.labels import Labels
from tltf.core.split import Split
from tltf.core.targets import find_labels, to_targets
from tltf.errors import DataError


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
    def from_parts(
        cls,
        parts: dict[str, Split | None],
        *,
        validation: float = 0.2,
        seed: int = 0,
        source: str = "arrays",
        skipped: Sequence[Skipped] = (),
        notes: Sequence[str] = (),
    ) -> "Splits":
        """Makes splits from parts, and a validation part if there is none.

        Uneven classes, classes without examples and the split that was made
        are written in `notes`.

        Args:
            parts: `train`, and perhaps `validation` and `test`.
            validation: The share of `train` that is held out where there is
                no validation part.
            seed: Of the choice of those.
            source: Where the data came from.
            skipped: What was left out.
            notes: What is known so far.
        """
        if not 0 < validation < 1:
            raise ValueError(
                "`validation` must be the share of the training examples to"
                f" hold out, between 0 and 1. Received: {validation}"
            )
        notes = list(notes)
        train, held = parts["train"], parts.get("validation")
        if held is None:
            notes.append(_absent("train", train))
            kept, chosen = stratified(
                train.targets, train.labels, validation, seed
            )
            notes.append(_held_out(train, len(chosen), seed))
            train, held = train.take(kept), train.take(chosen)
        else:
            notes += [_absent("train", train), _absent("validation", held)]
        notes.append(imbalance(train.class_counts))
        notes.append(_left_out(skipped))
        return cls(
            train,
            held,
            parts.get("test"),
            source,
            tuple(skipped),
            tuple(note for note in notes if note),
        )

    @classmethod
    def from_arrays(
        cls,
        train: tuple,
        validation: tuple | None = None,
        test: tuple | None = None,
        *,
        classes: int | Sequence[str] | Labels | None = None,
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
        given = {"train": train, "validation": validation, "test": test}
        arrays = {
            name: sources.arrays(pair, name)
            for name, pair in given.items()
            if pair is not None
        }
        labels = find_labels(arrays["train"][1], classes)
        parts = {
            name: Split(
                inputs,
                to_targets(values, labels, name),
                labels,
                batch_size=batch_size,
            )
            for name, (inputs, values) in arrays.items()
        }
        notes = [sources.note_on_range(arrays["train"][0]) or ""]
        return cls.from_parts(parts, seed=seed, notes=notes)

    @classmethod
    def from_datasets(
        cls,
        train: tf.data.Dataset,
        validation: tf.data.Dataset | None = None,
        test: tf.data.Dataset | None = None,
        *,
        classes: int | Sequence[str] | Labels | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> "Splits":
        """Makes splits from `tf.data` datasets of `(inputs, labels)`.

        Each dataset is read once, to count its labels, and must give its
        elements in the same order every time: do not shuffle, training does.
        Batched datasets are unbatched.

        Args:
            train: Pictures with values 0..255 and class numbers.
            validation: The same; default, a stratified fifth of `train`.
            test: The same, if there is one.
            classes: Names in the order of their numbers; default, the
                `class_names` that Keras' own datasets carry, else the
                numbers found in `train`.
            batch_size: Global batch size.
            seed: Of the split, where one is made.
        """
        given = {"train": train, "validation": validation, "test": test}
        if classes is None:
            classes = getattr(train, "class_names", None)
        kind = classes.kind if isinstance(classes, Labels) else None
        read = {
            name: sources.dataset(dataset, name, kind)
            for name, dataset in given.items()
            if dataset is not None
        }
        labels = find_labels(read["train"][1], classes)
        parts = {
            name: Split(
                examples,
                to_targets(values, labels, name),
                labels,
                batch_size=batch_size,
            )
            for name, (examples, values) in read.items()
        }
        return cls.from_parts(parts, seed=seed, source="tf.data")


def stratified(
    targets: np.ndarray, labels: Labels, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses examples to hold out, the same share of every class.

    Args:
        targets: Class numbers `[size]`, or values `[size, units]`.
        labels: What they mean. Only classes can be stratified; of other
            kinds a share of the whole is drawn.
        fraction: The share to hold out, at least one example a class.
        seed: Of the choice.

    Returns:
        Numbers of the examples kept and of those held out, both sorted.

    Raises:
        DataError: A class has fewer than two examples.
    """
    generator = np.random.default_rng(seed)
    groups = [("The data", np.arange(len(targets)))]
    if labels.are_classes:
        groups = [
            (f"Class '{name}'", np.flatnonzero(targets == number))
            for number, name in enumerate(labels.classes)
        ]
    held = []
    for name, rows in groups:
        if len(rows) == 1:
            raise DataError(
                f"{name} has one example: none can be held out for"
                " validation. Add examples, remove the class, or name a"
                " validation set of your own."
            )
        if len(rows):
            count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
            held.append(generator.permutation(rows)[:count])
    held = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(targets)), held), held


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


def _held_out(train: Split, count: int, seed: int) -> str:
    how = "stratified by class" if train.labels.are_classes else "at random"
    return (
        f"No validation set was given: {count} of the {len(train)} training"
        f" examples were held out, {how}, seed {seed}."
    )


def _absent(name: str, part: Split) -> str | None:
    """Says which classes a part has no example of."""
    counts = part.class_counts or {}
    absent = [c for c, count in counts.items() if count == 0]
    if not absent:
        return None
    others = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    return f"No example in {name} of {', '.join(absent[:5])}{others}."


def _left_out(skipped: Sequence[Skipped]) -> str | None:
    if not skipped:
        return None
    return (
        f"{len(skipped)} of the data were left out; the first,"
        f" {skipped[0].name}, {skipped[0].reason}."
    )
