"""Train, validation and test by name, with classes fixed by train."""

import dataclasses

import numpy as np

from tltf.core.labels import Labels
from tltf.core.split import Split
from tltf.core.targets import natural_order, to_targets
from tltf.errors import DataError, nearest

# What people call the parts, in lower case.
_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclasses.dataclass
class Part:
    """The examples of one part, with labels that have no numbers yet.

    Attributes:
        examples: Paths or texts.
        labels: Of each: a class name, or a list of names or of numbers.
        names: Where each came from.
    """

    examples: list[str] = dataclasses.field(default_factory=list)
    labels: list = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)

    def add(self, example: str, label, name: str) -> None:
        """Adds one example."""
        self.examples.append(example)
        self.labels.append(label)
        self.names.append(name)

    def keep(self, wanted: list[bool]) -> "Part":
        """Returns the examples that are wanted."""

        def chosen(values):
            pairs = zip(values, wanted, strict=True)
            return [value for value, is_wanted in pairs if is_wanted]

        return Part(
            chosen(self.examples), chosen(self.labels), chosen(self.names)
        )


def part_of(name: str) -> str | None:
    """Says which part a folder or a table calls so; None if none."""
    return _NAMES.get(name.strip().lower())


def known_names() -> list[str]:
    """The names that `part_of` knows."""
    return list(_NAMES)


def class_labels(parts: dict[str, Part], kind: str = "auto") -> Labels:
    """Makes the classes from the labels of train.

    Args:
        parts: The parts; labels are names, or lists of names.
        kind: As for `Labels`.

    Raises:
        DataError: Train has no or one class, or another part has more.
    """
    found = {name: _found(part, kind) for name, part in parts.items()}
    classes = natural_order(found["train"])
    fewest = 1 if kind == "multi_label" else 2
    if len(classes) < fewest:
        raise DataError(
            f"The training examples have {len(classes)} class:"
            f" {classes}. A classifier needs two."
        )
    for name in parts:
        unknown = natural_order(found[name] - set(classes))
        if unknown:
            raise DataError(
                f"{name} has examples of {unknown[:5]}, of which train has"
                " none: add such examples to train, or remove them."
                f"{nearest(unknown[0], classes)}"
            )
    return Labels(tuple(classes), kind)


def to_splits(
    parts: dict[str, Part], labels: Labels, **settings
) -> dict[str, Split]:
    """Gives the labels numbers.

    Args:
        parts: The parts.
        labels: What their labels mean.
        **settings: Of each `Split`, such as its `preprocess`.
    """
    return {
        name: Split(
            np.array(part.examples, dtype=object),
            to_targets(_values(part, labels), labels, name),
            labels,
            names=tuple(part.names),
            **settings,
        )
        for name, part in parts.items()
    }


def _found(part: Part, kind: str) -> set[str]:
    if kind != "multi_label":
        return set(part.labels)
    return {name for names in part.labels for name in names}


def _values(part: Part, labels: Labels) -> np.ndarray:
    if labels.kind != "multi_label":
        return np.array(part.labels)
    has = [set(names) for names in part.labels]
    return np.array([[c in names for c in labels.classes] for names in has])
