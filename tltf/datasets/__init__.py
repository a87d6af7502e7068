"""Data by name: one source, one file."""

import functools
import importlib
import inspect as signatures
import os
import typing
from collections.abc import Callable

from tltf.errors import nearest

if typing.TYPE_CHECKING:
    from tltf.core.splits import Splits


class _Source(typing.NamedTuple):
    """One row: what follows the colon, and whose `load` reads it."""

    argument: str
    module: str
    first: tuple[str, ...] = ()

    @property
    def loader(self) -> Callable[..., "Splits"]:
        """The function, whose module is imported when it is first needed."""
        module = importlib.import_module(f"tltf.datasets.{self.module}")
        return functools.partial(module.load, *self.first)


_SOURCES = {
    "folder": _Source("PATH", "folder"),
    "csv": _Source("FILE", "table", ("csv",)),
    "jsonl": _Source("FILE", "table", ("jsonl",)),
    "tfds": _Source("NAME", "tfds"),
    "demo": _Source("digits", "demo"),
}


def load(
    source: str,
    *,
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
    seed: int = 0,
    **options,
) -> "Splits":
    """Reads train, validation and test data by name.

    Args:
        source: One of:

            - `"folder:PATH"`: pictures in class folders, `folder.load`
            - `"csv:FILE"`, `"jsonl:FILE"`: a table of texts or of paths of
              pictures, `table.load`
            - `"tfds:NAME"`: TensorFlow Datasets, `tfds.load`
            - `"demo:digits"`: a small task that is shipped, `demo.load`
        image_size: Pixels, or (height, width). Default: 224, and 40 for the
            demo.
        batch_size: Global batch size.
        seed: Of what is drawn, such as validation examples.
        **options: Passed on to that function, whose documentation lists
            them. All know `resize` (`"stretch"`, `"crop"`, `"pad"`); all but
            the demo know `validation` (0.2), the share of train that is held
            out where the source has no validation part.

    Raises:
        ValueError: There is no such source.
        TypeError: The source does not take one of the options.
        DataError: The data cannot be used as they are.
        UnavailableError: They have to be downloaded and cannot be.

    Example:
    >>> splits = load("folder:flowers/", image_size=224, batch_size=32)
    >>> splits = load("csv:reviews.csv", text_column="review")
    """
    kind, colon, rest = source.partition(":")
    if kind not in _SOURCES or not colon or not rest:
        raise ValueError(
            f"`source` must be one of {names()}. Received: {source!r}."
            f"{_suggestion(source)}"
        )
    loader = _SOURCES[kind].loader
    for option in options:
        _check_taken(option, kind, loader)
    if image_size is not None:
        options["image_size"] = image_size
    return loader(rest, batch_size=batch_size, seed=seed, **options)


def names() -> tuple[str, ...]:
    """Returns the sources there are, as `load` takes them."""
    return tuple(f"{kind}:{s.argument}" for kind, s in _SOURCES.items())


def takes(source: str, option: str) -> bool:
    """Whether a source, such as `"folder:flowers/"`, takes an option."""
    kind = source.partition(":")[0]
    return kind in _SOURCES and option in _options(_SOURCES[kind].loader)


def _suggestion(source: str) -> str:
    if os.path.isdir(source):
        return f" Did you mean 'folder:{source}'?"
    ending = os.path.splitext(source)[1].lstrip(".").lower()
    if ending in _SOURCES and ":" not in source:
        return f" Did you mean '{ending}:{source}'?"
    return nearest(source.partition(":")[0], _SOURCES)


def _check_taken(option: str, kind: str, loader: Callable) -> None:
    takes = _options(loader)
    if option in takes:
        return
    others = [k for k, s in _SOURCES.items() if option in _options(s.loader)]
    belongs = f" It belongs to {', '.join(others)}." if others else ""
    raise TypeError(
        f"{kind}: sources do not take `{option}`.{belongs} They take"
        f" {takes}.{nearest(option, takes)}"
    )


def _options(loader: Callable) -> list[str]:
    return [
        name
        for name, parameter in signatures.signature(loader).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
