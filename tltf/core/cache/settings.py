"""Where features may be kept, and how much of it they may take."""

import dataclasses
import pathlib

from tltf.core.cache import room
from tltf.errors import nearest

PLACES = ("auto", "memory", "disk", "none")
DTYPES = ("float32", "float16")


@dataclasses.dataclass(frozen=True)
class CacheSettings:
    """What `tltf.fit` was told of its cache.

    Args:
        place: `"auto"` (memory, else disk, else none), or one of these.
        memory: Bytes that may be used, or such as `"2GB"`; None for a
            quarter of what is free.
        dtype: `"float32"` stores features as they are, `"float16"` in half
            the room.
        folder: Where they are kept for the next run; None for nowhere.
        is_own: Whether the folder is this run's alone, so that what no
            longer fits its data and weights is removed from it.
    """

    place: str = "auto"
    memory: int | str | None = None
    dtype: str = "float32"
    folder: pathlib.Path | None = None
    is_own: bool = False

    def __post_init__(self):
        for argument, value, known in (
            ("cache", self.place, PLACES),
            ("cache_dtype", self.dtype, DTYPES),
        ):
            if value not in known:
                guess = nearest(value, known) if isinstance(value, str) else ""
                raise ValueError(
                    f"`{argument}` must be one of {list(known)}."
                    f" Received: {value!r}.{guess}"
                )
        if self.memory is not None:
            room.to_bytes(self.memory)
        if self.place == "disk" and self.folder is None:
            raise ValueError(
                "`cache` = 'disk' needs a folder: give `model_dir` or"
                " `cache_dir`."
            )

    @classmethod
    def of(
        cls, cache, cache_memory, cache_dtype, cache_dir, model_dir
    ) -> "CacheSettings":
        """Makes it from the arguments of `tltf.fit`.

        Raises:
            ValueError: One of them is not what it may be.
        """
        is_own = cache_dir is None and model_dir is not None
        folder = pathlib.Path(model_dir, "cache") if is_own else cache_dir
        return cls(
            cache,
            cache_memory,
            cache_dtype,
            folder and pathlib.Path(folder),
            is_own,
        )

    def budget(self) -> int:
        """Bytes of memory that features may take."""
        if self.memory is None:
            return room.free_memory() // 4
        return room.to_bytes(self.memory)
