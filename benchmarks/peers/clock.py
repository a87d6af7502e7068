"""Takes the time of a run, section by section."""

import resource
import sys
import time


class Clock:
    """CPU seconds of all threads, kernel included, and wall time.

    Example:
    >>> clock = Clock()
    >>> clock.begin("build")
    >>> clock.begin("head")
    >>> clock.end()
    >>> clock.sections["head"]["cpu"]
    """

    def __init__(self):
        self.sections: dict[str, dict[str, float]] = {}
        self._name = None
        self._started = (0.0, 0.0)

    def begin(self, name: str) -> None:
        """Ends the current section and begins another, or goes on with it."""
        self.end()
        self._name, self._started = name, _now()

    def end(self) -> None:
        """Ends the current section."""
        if self._name is None:
            return
        cpu, wall = _now()
        taken = self.sections.setdefault(self._name, {"cpu": 0.0, "wall": 0.0})
        taken["cpu"] += cpu - self._started[0]
        taken["wall"] += wall - self._started[1]
        self._name = None

    def total(self, measure: str, names: tuple[str, ...]) -> float:
        """Adds up `cpu` or `wall` over those sections that there were."""
        return sum(
            taken[measure]
            for name, taken in self.sections.items()
            if name in names
        )


def peak_memory() -> int:
    """Returns the most bytes that this process has had in memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _now():
    return time.process_time(), time.perf_counter()
