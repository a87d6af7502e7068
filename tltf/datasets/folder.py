"""Pictures in class folders."""

import os
from collections.abc import Iterator

from tltf.core.preprocess import ImagePreprocess
from tltf.core.splits import Skipped, Splits
from tltf.core.targets import natural_order
from tltf.datasets import inspect
from tltf.datasets.parts import Part, class_labels, part_of, to_splits
from tltf.errors import DataError

# What file systems, archives and notebooks leave behind, beside hidden files.
_JUNK = {
    "@eadir",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "lost+found",
    "thumbs.db",
}

_STRAY = "lies outside of the class folders"


def load(
    path: str,
    *,
    image_size: int | tuple[int, int] = 224,
    batch_size: int = 32,
    seed: int = 0,
    validation: float = 0.2,
    resize: str = "stretch",
    cache_dir: str | None = None,
) -> Splits:
    """Reads a folder that holds one folder of pictures for each class.

    Or one that holds `train`, and perhaps `validation` and `test` folders
    (also: training, valid, val, dev, testing), which hold those. The classes
    are those of train, in natural order (1, 2, 10). Every file is decoded
    once beforehand; what cannot be is left out, counted and named.

    Args:
        path: The folder.
        image_size: Pixels, or (height, width).
        batch_size: Global batch size.
        seed: Of the choice of validation pictures.
        validation: The share of the training pictures that is held out,
            stratified, where there is no validation folder.
        resize: `"stretch"`, `"crop"` or `"pad"`, see `ImagePreprocess`.
        cache_dir: Folder that remembers which files are good. Default: no
            file is written.

    Raises:
        DataError: There are no classes in it, or a class has no picture.
    """
    preprocess = ImagePreprocess(image_size, resize)
    root = _existing(path)
    skipped = []
    folders = _part_folders(root, skipped)
    parts = {
        name: _listed(folder, root, skipped) for name, folder in folders.items()
    }
    parts, bad = inspect.only_good(parts, preprocess, cache_dir)
    skipped += bad
    for name, folder in folders.items():
        _check_filled(name, folder, root, parts[name], skipped)
    return Splits.from_parts(
        to_splits(
            parts,
            class_labels(parts),
            preprocess=preprocess,
            is_files=True,
            batch_size=batch_size,
        ),
        validation=validation,
        seed=seed,
        source=f"folder:{path}",
        skipped=skipped,
    )


def _existing(path: str) -> str:
    root = os.path.realpath(os.path.expanduser(path))
    if os.path.isdir(root):
        return root
    if os.path.exists(root):
        raise DataError(
            f"{path} is a file, where a folder of class folders was expected."
            " For a table there are csv:FILE and jsonl:FILE; unpack an archive"
            " first."
        )
    raise DataError(
        f"There is no folder {path} (looked for {root}). Name one that holds"
        " a folder of pictures for each class."
    )


def _part_folders(root: str, skipped: list[Skipped]) -> dict[str, str]:
    """Finds train, validation and test; all is train if there are none."""
    names = _folder_names(root, root, skipped)
    found = {}
    for name in names:
        part, folder = part_of(name), os.path.join(root, name)
        if part is None or not _folder_names(folder, root, []):
            continue
        if part in found:
            raise DataError(
                f"{root} has two {part} folders, '{name}' and"
                f" '{os.path.basename(found[part])}'. Rename or remove one."
            )
        found[part] = folder
    if not found:
        return {"train": root}
    if "train" not in found:
        raise DataError(
            f"{root} has the folders {names}, but no 'train' that holds class"
            " folders."
        )
    for name in names:
        if os.path.join(root, name) not in found.values():
            reason = "is no train, validation or test folder"
            if part_of(name):
                reason = "has no class folders, so its pictures have no labels"
            skipped.append(Skipped(name, reason))
    order = ("train", "validation", "test")
    return {part: found[part] for part in order if part in found}


def _listed(folder: str, root: str, skipped: list[Skipped]) -> Part:
    """Lists the files of each class folder, however deep they lie."""
    part = Part()
    classes = _folder_names(folder, root, skipped)
    for name in classes:
        inside = os.path.join(folder, name)
        for path in _files(inside, root, skipped, set()):
            part.add(path, name, _relative(path, root))
    for path in _entries(folder):
        if not os.path.isdir(path) and (
            inspect.unsafe(path, root) or inspect.is_picture(path)
        ):
            skipped.append(Skipped(_relative(path, root), _STRAY))
    return part


def _files(
    folder: str, root: str, skipped: list[Skipped], seen: set[str]
) -> Iterator[str]:
    seen.add(os.path.realpath(folder))
    for path in _entries(folder):
        if not os.path.isdir(path):
            reason = inspect.unsafe(path, root)
            if reason:
                skipped.append(Skipped(_relative(path, root), reason))
            else:
                yield path
        elif os.path.realpath(path) in seen:
            reason = "is a link to a folder that was read already"
            skipped.append(Skipped(_relative(path, root), reason))
        elif _stays(path, root, skipped):
            yield from _files(path, root, skipped, seen)


def _folder_names(folder: str, root: str, skipped: list[Skipped]) -> list[str]:
    return [
        os.path.basename(path)
        for path in _entries(folder)
        if os.path.isdir(path) and _stays(path, root, skipped)
    ]


def _entries(folder: str) -> list[str]:
    """Lists what is in a folder, without hidden files and junk."""
    names = natural_order(
        name
        for name in os.listdir(folder)
        if not name.startswith(".") and name.lower() not in _JUNK
    )
    return [os.path.join(folder, name) for name in names]


def _stays(path: str, root: str, skipped: list[Skipped]) -> bool:
    reason = inspect.leaves(path, root)
    if reason:
        skipped.append(Skipped(_relative(path, root), reason))
    return reason is None


def _relative(path: str, root: str) -> str:
    name = os.path.relpath(path, root).replace(os.sep, "/")
    return name.encode(errors="replace").decode()


def _check_filled(
    name: str, folder: str, root: str, part: Part, skipped: list[Skipped]
) -> None:
    """Checks that train has classes, and that each of them has pictures."""
    classes = _folder_names(folder, root, [])
    if not classes:
        stray = [s for s in skipped if s.reason == _STRAY]
        what = "pictures but no class folders" if stray else "no class folders"
        raise DataError(
            f"{folder} holds {what}. Put the pictures of each class into a"
            " folder of their own, such as cat/1.jpg and dog/2.jpg."
        )
    if name == "train" and len(classes) == 1:
        only = os.path.join(folder, classes[0])
        deeper = _folder_names(only, root, [])
        hint = f" If {deeper[:3]} are classes, use folder:{only}"
        raise DataError(
            f"{folder} holds one class folder, '{classes[0]}'; a classifier"
            f" needs two classes.{hint if deeper else ''}"
        )
    empty = [c for c in classes if c not in set(part.labels)]
    if empty and (name == "train" or not part.labels):
        inside = _relative(os.path.join(folder, empty[0]), root)
        raise DataError(
            f"Class folder '{inside}' holds no usable picture."
            f"{_why_empty(inside, skipped)} Add pictures to it or remove it."
        )


def _why_empty(folder: str, skipped: list[Skipped]) -> str:
    bad = [s for s in skipped if s.name.startswith(f"{folder}/")]
    if not bad:
        return ""
    return (
        f" {len(bad)} files were left out; the first, {bad[0].name},"
        f" {bad[0].reason}."
    )
