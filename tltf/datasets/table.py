"""Texts or pictures listed in a CSV or JSON Lines file."""

import math
import os
from collections.abc import Callable

from tltf.core.labels import Labels
from tltf.core.preprocess import ImagePreprocess
from tltf.core.splits import Skipped, Splits
from tltf.datasets import inspect
from tltf.datasets.parts import (
    Part,
    class_labels,
    known_names,
    part_of,
    to_splits,
)
from tltf.datasets.rows import place, read_csv, read_jsonl
from tltf.errors import DataError, nearest

# What people call the columns, the likeliest first, in lower case.
_GUESSES = {
    "text": (
        "text",
        "sentence",
        "review",
        "content",
        "comment",
        "tweet",
        "message",
        "body",
        "document",
    ),
    "path": (
        "path",
        "image",
        "image_path",
        "filepath",
        "file_path",
        "filename",
        "file_name",
        "file",
        "img",
    ),
    "label": (
        "label",
        "labels",
        "class",
        "target",
        "category",
        "sentiment",
        "class_name",
        "label_name",
    ),
    "split": ("split", "subset", "partition", "set"),
}
_KINDS = ("auto", "multi_label", "regression")
_LABEL_SEPARATOR = "|"
_READERS = {"csv": read_csv, "jsonl": read_jsonl}

# More different fractions than this are values, not names of classes.
_MOST_FRACTIONS = 20


def load(
    form: str,
    file: str,
    *,
    image_size: int | tuple[int, int] = 224,
    batch_size: int = 32,
    seed: int = 0,
    validation: float = 0.2,
    resize: str = "stretch",
    cache_dir: str | None = None,
    text_column: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    label_kind: str = "auto",
) -> Splits:
    """Reads a table of texts, or of paths of pictures, and labels.

    Columns that are not named are guessed from common names; `notes` says
    so. Rows without text or label, or whose picture is missing or broken,
    are left out, counted and named.

    Args:
        form: `"csv"` (the columns may also be parted by semicolons or tabs)
            or `"jsonl"`.
        file: The table, in UTF-8. Paths in it are relative to its folder
            and may not leave it.
        image_size: Pixels, or (height, width), for pictures.
        batch_size: Global batch size.
        seed: Of the choice of validation rows.
        validation: The share of the training rows that is held out,
            stratified, where no row is marked as validation.
        resize: `"stretch"`, `"crop"` or `"pad"`, see `ImagePreprocess`.
        cache_dir: Folder that remembers which pictures are good. Default: no
            file is written.
        text_column: Name of the column of texts.
        path_column: Name of the column of paths of pictures.
        label_column: Name of the column of labels.
        split_column: Name of the column that says train, validation or test
            (also: training, valid, val, dev, testing). Without it, all rows
            are train.
        label_kind: `"auto"` for one class a row, `"multi_label"` for any of
            many, written `red|round` (in JSON also a list), or
            `"regression"` for a number.

    Raises:
        DataError: The table cannot be read, or says too little.
    """
    if label_kind not in _KINDS:
        raise ValueError(
            f"`label_kind` must be one of {_KINDS}. Received: {label_kind!r}."
            f"{nearest(str(label_kind), _KINDS)}"
        )
    path = _existing(file)
    skipped = []
    columns, rows = _READERS[form](path, skipped)
    given = {
        "text": text_column,
        "path": path_column,
        "label": label_column,
        "split": split_column,
    }
    used, notes = _choose(columns, given, file)
    parts = _parts(rows, used, label_kind, path, skipped)
    preprocess = None
    if "path" in used:
        preprocess = ImagePreprocess(image_size, resize)
        parts, bad = inspect.only_good(parts, preprocess, cache_dir)
        skipped += bad
    _check_filled(parts, file, skipped)
    labels = _labels(parts, label_kind, used["label"])
    return Splits.from_parts(
        to_splits(
            parts,
            labels,
            preprocess=preprocess,
            is_files="path" in used,
            batch_size=batch_size,
        ),
        validation=validation,
        seed=seed,
        source=f"{form}:{file}",
        skipped=skipped,
        notes=notes,
    )


def _existing(file: str) -> str:
    path = os.path.realpath(os.path.expanduser(file))
    if not os.path.exists(path):
        raise DataError(f"There is no file {file} (looked for {path}).")
    if not os.path.isfile(path):
        raise DataError(
            f"{file} is no file. For a folder of class folders, use"
            f" folder:{file}"
        )
    return path


def _choose(
    columns: list[str], given: dict[str, str | None], file: str
) -> tuple[dict[str, str], list[str]]:
    """Says which column is what, and what was guessed."""
    used, notes = {}, []
    for role, column in given.items():
        if column is not None and column not in columns:
            raise DataError(
                f"{file} has no column '{column}' (`{role}_column`). Its"
                f" columns are {columns}.{nearest(column, columns)}"
            )
        guess = column or _guess(columns, role)
        if guess is not None:
            used[role] = guess
    for role, other in (("text", "path"), ("path", "text")):
        if given[role] and not given[other]:
            used.pop(other, None)
    inputs = [role for role in ("text", "path") if role in used]
    if len(inputs) != 1:
        what = " and ".join(f"'{used[role]}'" for role in inputs) or "none"
        raise DataError(
            f"{file} must have one column of texts or of paths of pictures;"
            f" found {what}. Say which by text_column=... or path_column=..."
            f" Its columns are {columns}."
        )
    if "label" not in used:
        raise DataError(
            f"{file} has no column that looks like a label. Name it by"
            f" label_column=... Its columns are {columns}."
        )
    for role, column in used.items():
        if not given[role]:
            notes.append(f"Column '{column}' was taken for the {role}.")
    return used, notes


def _guess(columns: list[str], role: str) -> str | None:
    by_lowercase = {column.lower(): column for column in columns}
    found = (by_lowercase.get(name) for name in _GUESSES[role])
    return next((column for column in found if column is not None), None)


def _parts(
    rows: list[tuple[int, dict]],
    used: dict[str, str],
    kind: str,
    path: str,
    skipped: list[Skipped],
) -> dict[str, Part]:
    parts = {"train": Part(), "validation": Part(), "test": Part()}
    root = os.path.dirname(path)
    for line, row in rows:
        name = place(path, line)
        try:
            part = _part(row, used, name)
            example = _example(row, used, root)
            label = _LABEL_READERS[kind](row.get(used["label"]))
        except _RowError as error:
            skipped.append(Skipped(name, str(error)))
        else:
            parts[part].add(example, label, name)
    return {name: part for name, part in parts.items() if part.examples}


class _RowError(Exception):
    """Why a row is left out."""


def _part(row: dict, used: dict[str, str], name: str) -> str:
    if "split" not in used:
        return "train"
    value = row.get(used["split"])
    if value is None or not str(value).strip():
        raise _RowError("says no split")
    part = part_of(str(value))
    if part is None:
        raise DataError(
            f"{name}: column '{used['split']}' must be one of {known_names()}."
            f" Received: {value!r}.{nearest(str(value), known_names())}"
        )
    return part


def _example(row: dict, used: dict[str, str], root: str) -> str:
    role = "text" if "text" in used else "path"
    value = row.get(used[role])
    if value is None or value == "":
        raise _RowError(f"has no {role}")
    if not isinstance(value, str):
        raise _RowError(f"has a {role} that is no string: {value!r:.60}")
    if not value.strip():
        raise _RowError(f"has no {role}")
    if role == "text":
        return _encodable(value)
    path = os.path.normpath(os.path.join(root, value.strip()))
    reason = inspect.unsafe(path, root)
    if reason:
        raise _RowError(f"names {value.strip()}, which {reason}")
    return path


def _encodable(text: str) -> str:
    r"""Refuses half of a surrogate pair, which JSON's \ud800 can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _RowError("has a text with half a character in it") from None
    return text


def _read_class(value) -> str:
    if value is None or value == "":
        raise _RowError("has no label")
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise _RowError(
            f"has a label that is no single name: {value!r:.60}; for several,"
            " say label_kind='multi_label'"
        )
    name = _encodable(str(value)).strip()
    if not name:
        raise _RowError("has no label")
    return name


def _read_classes(value) -> list[str]:
    if isinstance(value, list):
        return [_read_class(one) for one in value]
    names = _read_class(value).split(_LABEL_SEPARATOR)
    return [name.strip() for name in names if name.strip()]


def _read_number(value) -> list[float]:
    if value is None or value == "":
        raise _RowError("has no label")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _RowError(f"has a label that is no number: {value!r}") from None
    if not math.isfinite(number):
        raise _RowError(f"has a label that is not finite: {value!r}")
    return [number]


_LABEL_READERS: dict[str, Callable] = {
    "auto": _read_class,
    "multi_label": _read_classes,
    "regression": _read_number,
}


def _check_filled(
    parts: dict[str, Part], file: str, skipped: list[Skipped]
) -> None:
    for name in {"train": None} | dict.fromkeys(parts):
        if name in parts and parts[name].examples:
            continue
        first = next(iter(skipped), None)
        why = f" Left out: {len(skipped)}; the first," if first else ""
        raise DataError(
            f"{file} has no usable row for {name}.{why}"
            + (f" {first.name}, {first.reason}." if first else "")
        )


def _labels(parts: dict[str, Part], kind: str, column: str) -> Labels:
    if kind == "regression":
        return Labels((column,), "regression")
    if kind == "auto" and _are_values(set(parts["train"].labels)):
        raise DataError(
            f"Column '{column}' holds more than {_MOST_FRACTIONS} different"
            " fractions, which are hardly names of classes. For numbers say"
            " label_kind='regression'."
        )
    return class_labels(parts, kind)


def _are_values(names: set[str]) -> bool:
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return False
    fractions = [number for number in numbers if number != int(number)]
    return len(fractions) > _MOST_FRACTIONS
