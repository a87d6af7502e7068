"""Did transfer help, and would it: scores as pure functions on arrays."""

from tltf.transferability.curves import (
    band,
    compare,
    interval,
    paired_difference,
    summarize,
)

__all__ = ["band", "compare", "interval", "paired_difference", "summarize"]
