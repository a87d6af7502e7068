"""Files that are there whole or not at all, also after a power failure."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

# What is being written; what is left of it after a kill may be removed.
WRITING = ".writing-"


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path to write to, which then takes a file's place.

    The file that was there stays until then: a failed write costs nothing.
    What was written is synced to the disk before it is renamed, and the
    rename too.

    Args:
        path: The file, in a folder that is there.

    Example:
    >>> with whole(pathlib.Path("run/labels.json")) as beside:
    ...     beside.write_text("{}")
    """
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=WRITING, suffix=path.suffix
    )
    os.close(handle)
    beside = pathlib.Path(name)
    try:
        yield beside
        beside.chmod(0o644)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _sync_folder(path: pathlib.Path) -> None:
    """Makes a rename last, where folders can be synced."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
