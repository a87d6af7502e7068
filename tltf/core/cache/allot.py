"""Finds a place for features: memory, else disk, else none."""

import dataclasses
import uuid

from tltf.core.cache import room
from tltf.core.cache.settings import CacheSettings
from tltf.core.cache.shelf import Shelf
from tltf.core.cache.table import MemoryTable, Table
from tltf.core.graph import Cut

# Of the disk that is free, so much may be taken.
_DISK_SHARE = 0.5


@dataclasses.dataclass
class Wanted:
    """Features that are to be computed, and what becomes of them.

    Args:
        cut: What crosses.
        key: By which they are kept; None if they are not to be.
        reads: How many epochs will read them.
        table: Where they lie in the end; None if they lie nowhere.
        reason: Why there, or why nowhere.
    """

    cut: Cut
    key: str | None
    reads: int
    table: Table | None = None
    reason: str = ""


class Room:
    """The room that a run's features may still take.

    Args:
        settings: What the user allows.
        shelf: Where features lie on disk, if they may.

    Attributes:
        unnamed: Keys of what cannot be found again, to be removed.
    """

    def __init__(self, settings: CacheSettings, shelf: Shelf | None):
        self._place, self._shelf = settings.place, shelf
        self._memory = settings.budget()
        self._speed: tuple[float, float] | None = None
        self.unnamed: list[str] = []

    def allot(self, wanted: Wanted, columns, rows: int, seconds: float):
        """Chooses where features go.

        Args:
            wanted: What they are; its `reason` is set.
            columns: Of one example.
            rows: How many examples.
            seconds: What it takes to compute all of them once.

        Returns:
            A table to append to, or None.
        """
        size = rows * sum(column.row_bytes for column in columns)
        text = room.to_text(size)
        if self._place != "disk" and size <= self._memory:
            try:
                table = MemoryTable(columns, rows)
            except MemoryError:
                self._memory = 0
            else:
                self._memory -= size
                wanted.reason = f"{text} in memory"
                return table
        if self._place == "memory" or self._shelf is None:
            wanted.reason = (
                f"{text} are more than the {room.to_text(self._memory)} that"
                " are left of `cache_memory`"
            )
            return None
        try:
            wanted.reason = self._against_disk(size, wanted.reads, seconds)
            if wanted.reason:
                return None
            writer = self._shelf.writer(self._named(wanted), columns, rows)
        except OSError as error:
            wanted.reason = f"there is no room on disk: {error}"
            return None
        wanted.reason = f"{text} on disk"
        return writer

    def _named(self, wanted: Wanted) -> str:
        """The key under which features go to the disk."""
        if wanted.key is not None:
            return wanted.key
        self.unnamed.append(f"unnamed-{uuid.uuid4().hex}")
        return self.unnamed[-1]

    def give_back(self, table) -> None:
        """Takes back the memory of features that are no longer needed.

        Args:
            table: A `Table`, or what was to become one.
        """
        if table.where == "memory":
            self._memory += table.bytes

    def check_disk(self, size: int) -> None:
        """Raises an OSError where so much would leave the disk too full."""
        free = room.free_disk(self._shelf.path)
        if size > free * _DISK_SHARE:
            raise OSError(
                f"{room.to_text(size)} are more than half of the"
                f" {room.to_text(free)} that are free in {self._shelf.path}"
            )

    def _against_disk(self, size, reads, seconds) -> str:
        """Says why reading from disk would not pay, if it would not."""
        self.check_disk(size)
        if self._place == "disk":
            return ""
        text = room.to_text(size)
        if self._speed is None:
            self._speed = room.disk_speed(self._shelf.path)
        write, read = self._speed
        again = size / write + reads * size / read
        if again >= (reads - 1) * seconds:
            return (
                f"writing {text} and reading them {reads} times would take"
                f" {again:.0f} s on this disk, computing them anew"
                f" {(reads - 1) * seconds:.0f} s"
            )
        return ""
