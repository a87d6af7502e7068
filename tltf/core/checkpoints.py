"""Checkpoints of a run, each whole or not there at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence

import ml_dtypes  # noqa: F401 (NumPy then knows its types by name)
import numpy as np
from absl import logging

from tltf.core.files import WRITING, whole

# Raised whenever older checkpoints can no longer be read.
_FORMAT = 1
_STATE = re.compile(r"checkpoint-(\d{8})\.json")
_ARRAYS = re.compile(r"arrays-[0-9a-f]{32}\.npz")
# The newest may be on a disk that lies.
_KEPT = 2


class Checkpoints:
    """A folder of checkpoints, of which the newest two are kept.

    A checkpoint is a JSON file of plain data, which names files of arrays and
    their SHA-256. Every file is written beside, synced to the disk and
    renamed, the arrays before the JSON that names them, so that a kill or a
    full disk at any moment leaves the checkpoint before. A file of arrays is
    named by its content: what did not change is not written again.

    Args:
        path: The folder; made when something is written.

    Example:
    >>> checkpoints = Checkpoints("run/checkpoints")
    >>> checkpoints.save({"epoch": 3}, {"weights": [np.ones(2)]})
    >>> state, arrays = checkpoints.newest()
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        # SHA-256 of files that are known to be as they were written.
        self._good: dict[str, str] = {}

    def save(
        self, state: Mapping, arrays: Mapping[str, Sequence[np.ndarray]]
    ) -> None:
        """Writes a checkpoint.

        Args:
            state: Plain data, as JSON holds it.
            arrays: Lists of arrays by name, each list a file of its own.

        Raises:
            OSError: It could not be written; those before are still there.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        numbers = [number for number, _ in self._states()]
        files = {name: self._write(values) for name, values in arrays.items()}
        text = json.dumps({"format": _FORMAT, "files": files, "state": state})
        number = max(numbers, default=0) + 1
        outer = json.dumps({"sha256": _sha256(text), "content": text})
        with whole(self.path / f"checkpoint-{number:08d}.json") as path:
            path.write_text(outer, "utf-8")
        self._tidy()

    def newest(self) -> tuple[dict, dict[str, list[np.ndarray]]] | None:
        """Returns state and arrays of the newest that is as it was written."""
        for _, path in self._states():
            try:
                return self._read(path)
            except (OSError, ValueError, LookupError, TypeError) as error:
                logging.warning(
                    "%s is not as it was written (%s): the one before it is"
                    " used.",
                    path,
                    error,
                )
        return None

    def clear(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self.path, ignore_errors=True)

    def __bool__(self) -> bool:
        return any(self._states())

    def _states(self) -> Iterator[tuple[int, pathlib.Path]]:
        """Yields numbers and paths, the newest first."""
        if not self.path.is_dir():
            return
        for name in sorted(os.listdir(self.path), reverse=True):
            if match := _STATE.fullmatch(name):
                yield int(match[1]), self.path / name

    def _read(self, path):
        outer = json.loads(path.read_bytes())
        if _sha256(outer["content"]) != outer["sha256"]:
            raise ValueError("its checksum differs")
        content = json.loads(outer["content"])
        if content["format"] != _FORMAT:
            raise ValueError("another version of tltf wrote it")
        arrays = {
            name: self._arrays(**file)
            for name, file in content["files"].items()
        }
        return content["state"], arrays

    def _write(self, values: Sequence[np.ndarray]) -> dict:
        """Writes arrays, unless they lie there already.

        Returns:
            The file's name, and the arrays' types, of which NumPy's format
            knows but its own.
        """
        values = [np.asarray(value, order="C") for value in values]
        digest = hashlib.sha256()
        for value in values:
            digest.update(f"{value.dtype} {value.shape}".encode())
            digest.update(_bytes(value))
        path = self.path / f"arrays-{digest.hexdigest()[:32]}.npz"
        if path.name not in self._good or not path.exists():
            with whole(path) as beside:
                np.savez(beside, *map(_bytes, values))
                self._good[path.name] = _file_sha256(beside)
        return {
            "name": path.name,
            "sha256": self._good[path.name],
            "dtypes": [str(value.dtype) for value in values],
            "shapes": [list(value.shape) for value in values],
        }

    def _arrays(self, name, sha256, dtypes, shapes) -> list[np.ndarray]:
        if not _ARRAYS.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a file of arrays")
        if _file_sha256(self.path / name) != sha256:
            raise ValueError(f"the checksum of {name} differs")
        self._good[name] = sha256
        with np.load(self.path / name, allow_pickle=False) as stored:
            return [
                stored[f"arr_{i}"].view(dtype).reshape(shape)
                for i, (dtype, shape) in enumerate(
                    zip(dtypes, shapes, strict=True)
                )
            ]

    def _tidy(self) -> None:
        """Removes what no checkpoint that is kept needs."""
        needed = set()
        for i, (_, path) in enumerate(self._states()):
            if i >= _KEPT:
                path.unlink(missing_ok=True)
                continue
            with contextlib.suppress(OSError, ValueError, LookupError):
                content = json.loads(json.loads(path.read_bytes())["content"])
                needed |= {f["name"] for f in content["files"].values()}
        for path in self.path.iterdir():
            is_left = _ARRAYS.fullmatch(path.name) and path.name not in needed
            if is_left or path.name.startswith(WRITING):
                path.unlink(missing_ok=True)


def _bytes(value: np.ndarray) -> np.ndarray:
    return value.reshape(-1).view("u1")


def _file_sha256(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
