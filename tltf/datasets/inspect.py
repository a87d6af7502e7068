"""One look at picture files before hours of training.

Every file is decoded once by the decoder that training uses, so that a file
that passes here cannot stop an epoch later.
"""

import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from tltf.core.passes import as_is
from tltf.core.preprocess import ImagePreprocess
from tltf.core.splits import Skipped
from tltf.datasets.parts import Part

# How the files begin that the decoder knows, WebP and 8-bit BMP apart.
_DECODABLE = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"RIFF",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
)

# How some others begin, and what to call them.
_OTHERS = {
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"\x00\x00\x01\x00": "an icon",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"8BPS": "a Photoshop picture",
}
_BRANDS = {b"avif": "an AVIF picture", b"heic": "an HEIC picture"}

_BMP_PALETTE_START = 54
_HEADER = _BMP_PALETTE_START + 4 * 256
_LOG_SECONDS = 10


def inspect(
    paths: Sequence[str],
    preprocess: ImagePreprocess,
    cache_dir: str | None = None,
) -> list[str | None]:
    """Decodes every file once and says which are bad, and why.

    Takes about the time of one epoch's decoding, on all cores; progress is
    logged by absl at the level INFO.

    Args:
        paths: Absolute paths of regular files.
        preprocess: The one that training uses.
        cache_dir: Folder for a JSON file that remembers the result by path,
            size and modification time. Default: no file is written.

    Returns:
        For each path None if it is good, or else the reason.
    """
    cache = _Cache(cache_dir, preprocess)
    result = [cache.find(path) for path in paths]
    unseen = [i for i, found in enumerate(result) if found is _Cache.UNSEEN]
    reasons = _decode_all([paths[i] for i in unseen], preprocess)
    for i, reason in zip(unseen, reasons, strict=True):
        result[i] = reason
        cache.add(paths[i], reason)
    cache.write()
    return result


def only_good(
    parts: dict[str, Part],
    preprocess: ImagePreprocess,
    cache_dir: str | None = None,
) -> tuple[dict[str, Part], list[Skipped]]:
    """Returns parts without the files that cannot be decoded, and those.

    Args:
        parts: Parts whose examples are paths.
        preprocess: The one that training uses.
        cache_dir: As for `inspect`.
    """
    paths = [path for part in parts.values() for path in part.examples]
    names = [name for part in parts.values() for name in part.names]
    reasons = inspect(paths, preprocess, cache_dir)
    skipped = [
        Skipped(name, reason)
        for name, reason in zip(names, reasons, strict=True)
        if reason is not None
    ]
    bad = {path for path, reason in zip(paths, reasons, strict=True) if reason}
    kept = {
        name: part.keep([path not in bad for path in part.examples])
        for name, part in parts.items()
    }
    return kept, skipped


def unsafe(path: str, root: str) -> str | None:
    """Says why a file is not to be opened at all, or None.

    Opening a FIFO waits for ever, and a link out of the folder would read
    what is none of the data's.

    Args:
        path: Absolute path.
        root: The folder to stay in, without links (`os.path.realpath`).
    """
    try:
        path.encode()
        mode = os.stat(path).st_mode
    except UnicodeEncodeError:
        return "has a name that is not valid UTF-8"
    except OSError as error:
        is_broken = os.path.islink(path)
        return "is a broken link" if is_broken else f"{error.strerror}"
    if not stat.S_ISREG(mode):
        return "is a FIFO, device or folder, no regular file"
    return leaves(path, root)


def leaves(path: str, root: str) -> str | None:
    """Says where a path leads if that is out of the folder, or None."""
    real = os.path.realpath(path)
    if real == root or real.startswith(os.path.join(root, "")):
        return None
    return f"leads out of the folder, to {real}"


def is_picture(path: str) -> bool:
    """Whether a regular file begins as the pictures do that are decoded."""
    return _sniff(path) is None


def _decode_all(
    paths: list[str], preprocess: ImagePreprocess
) -> list[str | None]:
    reasons = [_sniff(path) for path in paths]
    unsniffed = [i for i, reason in enumerate(reasons) if reason is None]

    def decode(i, path):
        # Only the shape leaves, but the pixels have to be decoded for it.
        return i, tf.shape(preprocess.decode(tf.io.read_file(path)))

    decoded = (
        tf.data.Dataset.from_tensor_slices(
            (unsniffed, tf.constant([paths[i] for i in unsniffed], tf.string))
        )
        .map(
            as_is(decode),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=False,
        )
        .ignore_errors()
    )
    good, logged = set(), time.monotonic()
    for i, _ in decoded.as_numpy_iterator() if unsniffed else ():
        good.add(int(i))
        if time.monotonic() - logged >= _LOG_SECONDS:
            logged = time.monotonic()
            logging.info("Looked at %d of %d pictures.", len(good), len(paths))
    for i in set(unsniffed) - good:
        reasons[i] = _reason(paths[i], preprocess)
    return reasons


def _sniff(path: str) -> str | None:
    """Says what a file is that its first bytes show to be no picture."""
    try:
        with open(path, "rb") as file:
            start = file.read(_HEADER)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not start:
        return "is empty"
    if start.startswith(_DECODABLE):
        return _coloured_palette(start)
    if start.lstrip()[:1] == b"<":
        return "is an HTML, XML or SVG page, whatever its name says"
    kind = next(
        (name for magic, name in _OTHERS.items() if start.startswith(magic)),
        _BRANDS.get(start[8:12]) if start[4:8] == b"ftyp" else None,
    )
    if kind:
        return f"is {kind}; convert it to JPEG or PNG"
    return "is no picture (JPEG, PNG, GIF, BMP or WebP)"


def _coloured_palette(start: bytes) -> str | None:
    """Finds a BMP with a palette of colours.

    TensorFlow 2.21 takes the numbers of the colours for shades of grey.
    """
    if not start.startswith(b"BM") or len(start) < _HEADER or start[28] != 8:
        return None
    palette = start[_BMP_PALETTE_START:_HEADER]
    used = int.from_bytes(start[46:50], "little") or 256
    grey = b"".join(bytes((i, i, i)) for i in range(used))
    colours = b"".join(palette[4 * i : 4 * i + 3] for i in range(used))
    if colours == grey:
        return None
    return "is a BMP with a palette, which is not read; convert it to PNG"


def _reason(path: str, preprocess: ImagePreprocess) -> str | None:
    """Decodes one file again, alone, to hear what is wrong."""
    try:
        preprocess.decode(tf.io.read_file(path))
    except (tf.errors.OpError, ValueError) as error:
        message = getattr(error, "message", None) or str(error)
        message = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", message)
        lines = message.strip().splitlines() or [type(error).__name__]
        return f"cannot be decoded: {lines[0].strip()}"
    return None


class _Cache:
    """What was found about files, by path, size and modification time."""

    UNSEEN = object()

    def __init__(self, folder: str | None, preprocess: ImagePreprocess):
        self._path = None
        self._found = {}
        self._is_changed = False
        if folder is None:
            return
        # Another decoder may judge otherwise.
        decoder = json.dumps([preprocess.get_config(), tf.__version__])
        digest = hashlib.sha256(decoder.encode()).hexdigest()[:12]
        self._path = Path(folder).expanduser() / f"inspected-{digest}.json"
        try:
            self._found = dict(
                json.loads(self._path.read_text("utf-8"))["files"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            logging.info("No earlier inspection at %s.", self._path)

    def find(self, path: str):
        """Returns None, a reason, or `UNSEEN`."""
        entry = self._found.get(path) if self._path else None
        if entry is None or entry[:2] != _stamp(path):
            return self.UNSEEN
        return entry[2]

    def add(self, path: str, reason: str | None) -> None:
        """Remembers, unless a file could not be read, which may pass."""
        is_lasting = reason is None or not reason.startswith("cannot be read")
        stamp = _stamp(path) if self._path and is_lasting else None
        if stamp:
            self._found[path] = [*stamp, reason]
            self._is_changed = True

    def write(self) -> None:
        """Writes a new file beside the old one and puts it in its place."""
        if not self._is_changed:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=self._path.parent, suffix=".tmp"
        )
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"files": self._found}, file)
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
