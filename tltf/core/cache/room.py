"""How much room there is for features, and how fast the disk is."""

import os
import pathlib
import re
import shutil
import tempfile
import time

import psutil

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_PROBE = 2**25
# Of a container's limit and use, for version 2 and 1 of Linux' cgroups.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def to_bytes(size: int | str) -> int:
    """Reads a size such as `2000000`, `"500MB"` or `"2 GiB"`.

    Units are powers of 1,024.

    Raises:
        ValueError: It is no size.
    """
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    match = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(size), re.IGNORECASE
    )
    if isinstance(size, bool) or match is None:
        raise ValueError(
            "`cache_memory` must be a number of bytes, or such as '500MB' or"
            f" '2GB'. Received: {size!r}"
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


def to_text(size: int) -> str:
    """Writes a size for people, such as `2.4 MB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TB"


def free_memory() -> int:
    """Bytes that can be had, within the limit of a container."""
    free = psutil.virtual_memory().available
    for limit, used in _LIMITS:
        try:
            left = int(pathlib.Path(limit).read_text()) - int(
                pathlib.Path(used).read_text()
            )
        except (OSError, ValueError):
            continue
        free = min(free, max(left, 0))
    return free


def free_disk(path: pathlib.Path) -> int:
    """Bytes that can be written where a folder is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def disk_speed(path: pathlib.Path) -> tuple[float, float]:
    """Measures a disk with a file of 32 MiB.

    Args:
        path: A folder on it, made if it is not there.

    Returns:
        Bytes per second written and read; read past the page cache where
        the system can be told to forget it.

    Raises:
        OSError: It is full, or cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    content = os.urandom(2**20) * (_PROBE // 2**20)
    with tempfile.TemporaryFile(dir=path) as file:
        started = time.perf_counter()
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter()
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        begun = time.perf_counter()
        file.read()
        read = time.perf_counter()
    return _PROBE / (written - started), _PROBE / max(read - begun, 1e-9)
