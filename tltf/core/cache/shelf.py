"""A folder of features that outlive a run, each found by its key."""

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from tltf.core.cache.table import Column, Table

_MANIFEST = "manifest.json"
# What the folders are called: of a table that has a key, one that has none,
# one that was not finished.
_OURS = re.compile(r"[0-9a-f]{32}|unnamed-[0-9a-f]{24}|\.writing-.+")
# How much is read at once while a file is verified.
_CHUNK = 2**24


class Shelf:
    """Tables on disk, a folder for each, of plain `.npy` files.

    A table is there whole or not at all: it is written beside and renamed,
    and its manifest holds size and checksum of every file.

    Args:
        path: The folder; made when something is written.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    def find(self, key: str) -> Table | None:
        """Maps the table of a key, or returns None.

        One that is not as it was written is removed, never used.
        """
        place = self._place(key)
        if not place.exists():
            return None
        try:
            return _opened(place, key)
        except (OSError, ValueError, LookupError, TypeError) as error:
            logging.warning(
                "Cached features in %s are not as they were written (%s): they"
                " are computed again.",
                place,
                error,
            )
            shutil.rmtree(place, ignore_errors=True)
            return None

    def writer(self, key: str, columns: Sequence[Column], rows: int):
        """Returns a table to be appended to, which then lies on the shelf.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        return _Writer(self._place(key), key, columns, rows)

    def keep(self, key: str, table: Table) -> Table:
        """Writes a table that is in memory, and returns it.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        writer = self.writer(key, table.columns, len(table.arrays[0]))
        try:
            writer.append(table.arrays)
            writer.finish()
        except BaseException:
            writer.discard()
            raise
        return table

    def remove(self, key: str) -> None:
        """Removes a table, if it is there."""
        shutil.rmtree(self._place(key), ignore_errors=True)

    def clear(self, but: Sequence[str]) -> None:
        """Removes all tables but those of some keys, and nothing else."""
        wanted = {self._place(key) for key in but}
        if not self.path.exists():
            return
        for place in self.path.iterdir():
            if _OURS.fullmatch(place.name) and place not in wanted:
                shutil.rmtree(place, ignore_errors=True)

    def _place(self, key: str) -> pathlib.Path:
        return self.path / key[:32]


class _Writer:
    """Appends rows to the files of a table; see `MemoryTable`."""

    where = "disk"

    def __init__(self, place, key, columns, rows):
        self._place, self._key, self._columns = place, key, tuple(columns)
        self._beside = pathlib.Path(
            tempfile.mkdtemp(dir=place.parent, prefix=".writing-")
        )
        self._checks = [0] * len(self._columns)
        self._files = []
        try:
            for i, column in enumerate(self._columns):
                self._begin(i, column, rows)
        except BaseException:
            self.discard()
            raise

    def _begin(self, number, column, rows):
        file = open(self._beside / f"{number}.npy", "wb")  # noqa: SIM115
        self._files.append(file)
        header = {
            "descr": np.lib.format.dtype_to_descr(column.numpy_dtype),
            "fortran_order": False,
            "shape": (rows, *column.shape),
        }
        text = io.BytesIO()
        np.lib.format.write_array_header_2_0(text, header)
        self._write(number, text.getvalue())

    def append(self, batch) -> None:
        """Adds the next rows, an array for each column."""
        for i, values in enumerate(batch):
            self._write(i, memoryview(np.ascontiguousarray(values)).cast("B"))

    def _write(self, number, content) -> None:
        self._files[number].write(content)
        self._checks[number] = zlib.crc32(content, self._checks[number])

    def finish(self) -> Table:
        """Puts the table in its place and maps it."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        manifest = {
            "key": self._key,
            "columns": [column.get_config() for column in self._columns],
            "bytes": [
                os.path.getsize(self._beside / f"{i}.npy")
                for i in range(len(self._columns))
            ],
            "crc32": self._checks,
        }
        text = json.dumps(manifest, indent=2) + "\n"
        (self._beside / _MANIFEST).write_text(text, "utf-8")
        try:
            os.rename(self._beside, self._place)
        except OSError:
            # Another run may have put the same features there meanwhile.
            theirs = Shelf(self._place.parent).find(self._key)
            if theirs is None:
                raise
            return theirs
        finally:
            self.discard()
        return _opened(self._place, self._key, verify=False)

    def discard(self) -> None:
        """Removes what was written."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()
        shutil.rmtree(self._beside, ignore_errors=True)


def _opened(place: pathlib.Path, key: str, verify: bool = True) -> Table:
    manifest = json.loads((place / _MANIFEST).read_text("utf-8"))
    if manifest["key"] != key:
        raise ValueError("they belong to something else")
    columns, arrays = [], []
    for i, config in enumerate(manifest["columns"]):
        path = place / f"{i}.npy"
        if path.stat().st_size != manifest["bytes"][i]:
            raise ValueError(f"{path.name} has another size")
        if verify and _checksum(path) != manifest["crc32"][i]:
            raise ValueError(f"{path.name} has another checksum")
        column = Column.from_config(config)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if (array.dtype, array.shape[1:]) != (column.numpy_dtype, column.shape):
            raise ValueError(f"{path.name} holds other arrays")
        columns.append(column)
        arrays.append(array)
    return Table(tuple(columns), tuple(arrays), "disk")


def _checksum(path: pathlib.Path) -> int:
    check = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            check = zlib.crc32(chunk, check)
    return check
