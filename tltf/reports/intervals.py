"""How far a measured figure would move with other test examples."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats


def bootstrap(
    function: Callable,
    arrays: Sequence[np.ndarray],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns percentile bootstrap intervals (Efron 1979).

    Examples are drawn with replacement, as many as there are, and the
    figures computed anew; the interval is between the (1 - level)/2 and
    (1 + level)/2 quantiles. Resamples for which a figure is not defined (NaN,
    such as an AUC of one class) are left out for that figure. The interval is
    widened to hold the figure of the examples as they are.

    Args:
        function: Called with resampled arrays, returns a number or an array
            of numbers.
        arrays: Arrays whose first axis counts the same examples.
        resamples: How many times to draw.
        seed: Of the draws.
        level: Coverage aimed at.

    Returns:
        Lower and upper ends, of the shape `function` returns; NaN where the
        figure was defined in fewer than half of the resamples.
    """
    size = len(arrays[0])
    if any(len(array) != size for array in arrays) or not size:
        raise ValueError(
            "`arrays` must be of the same length, at least one. Received:"
            f" {[len(array) for array in arrays]}"
        )
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            "`resamples` must be at least 1 and `level` in (0, 1). Received:"
            f" {resamples}, {level}"
        )
    generator = np.random.default_rng(seed)
    figures = []
    for _ in range(resamples):
        drawn = generator.integers(size, size=size)
        figures.append(function(*(array.take(drawn, 0) for array in arrays)))
    figures = np.asarray(figures, "float64")
    enough = np.isfinite(figures).mean(axis=0) >= 0.5
    figures = np.where(enough, figures, 0.0)
    ends = np.nanquantile(figures, [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = np.where(enough, ends, np.nan)
    # Figures by rank rise when examples are drawn twice; an interval must not
    # leave out the figure that it is of.
    figure = np.asarray(function(*arrays), "float64")
    return np.fmin(low, np.where(enough, figure, np.nan)), np.fmax(
        high, np.where(enough, figure, np.nan)
    )


def wilson(right: int, size: int, level: float = 0.95) -> tuple[float, float]:
    """Returns Wilson's interval for a share (Wilson 1927).

        (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n)

    Unlike the bootstrap it keeps its width where all examples are right, and
    covers well in small samples (Brown, Cai and DasGupta 2001).

    Args:
        right: How many.
        size: Of how many, at least one.
        level: Coverage aimed at.
    """
    z = stats.norm.ppf((1 + level) / 2)
    share, shrink = right / size, 1 + z**2 / size
    middle = (share + z**2 / (2 * size)) / shrink
    variance = share * (1 - share) / size + z**2 / (4 * size**2)
    half = z * np.sqrt(variance) / shrink
    # At the ends rounding leaves a 1e-17 on the wrong side.
    low = 0.0 if right == 0 else float(middle - half)
    high = 1.0 if right == size else float(middle + half)
    return low, high
