"""Figures with bootstrap intervals, at a bounded cost."""

import numpy as np

from tltf.reports.intervals import bootstrap
from tltf.reports.metrics import TITLES

# Numbers drawn in all resamples of one bootstrap: two to three seconds.
_BUDGET = 100_000_000
_FEWEST_RESAMPLES = 100


def figure(value, low=np.nan, high=np.nan):
    """Returns a figure as a `Report` holds it; NaN for no interval."""
    return {"value": value, "low": low, "high": high}


class Draws:
    """Bootstraps within a budget.

    Args:
        resamples: Of each bootstrap, if it is affordable.
        seed: Of each.

    Attributes:
        notes: Sentences that say where there were fewer.
    """

    def __init__(self, resamples: int, seed: int):
        self._resamples = resamples
        self._seed = seed
        self.notes = []

    def metrics(self, names, function, arrays) -> dict[str, dict]:
        """Returns `{name: {value, low, high}}` for what a function gives."""
        values = np.atleast_1d(function(*arrays))
        low, high = np.full((2, len(values)), np.nan)
        resamples = self._affordable(names, sum(a.size for a in arrays))
        if resamples:
            low, high = bootstrap(
                lambda *drawn: np.atleast_1d(function(*drawn)),
                arrays,
                resamples=resamples,
                seed=self._seed,
            )
        return {
            name: figure(*numbers)
            for name, *numbers in zip(names, values, low, high, strict=True)
        }

    def _affordable(self, names, numbers):
        affordable = min(self._resamples, _BUDGET // numbers)
        if affordable == self._resamples:
            return affordable
        said = ", ".join(TITLES[name] for name in names)
        if affordable < _FEWEST_RESAMPLES:
            self.notes.append(f"{said}: no interval, the data are too large.")
            return 0
        self.notes.append(
            f"{said}: the interval is from {affordable} bootstrap resamples,"
            f" not {self._resamples}, as the data are large."
        )
        return affordable
