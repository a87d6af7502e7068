"""Did transfer help: the start, slope and end of learning curves, compared.

Torrey and Shavlik, "Transfer Learning" (2010), name three ways in which
transfer can show: a higher start, a higher slope and a higher end of the
curve of accuracy over training. If the end is lower, transfer was negative.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from tltf.errors import nearest

MEASURES = ("start", "slope", "end")


def summarize(accuracy_by_epoch) -> dict[str, float]:
    """Sums a learning curve up in three numbers.

    With accuracies a_1 … a_E after each of E epochs:

        start = a_1
        slope = (a_1 + … + a_E) / E
        end   = a_E

    The slope is the area under the curve divided by its length: the higher,
    the sooner the curve rises. It has the unit of accuracy, and equals start
    and end where nothing is learned. To measure the start before any
    training, put the accuracy of the untrained model first.

    Args:
        accuracy_by_epoch: `[epochs]`, or any measure where more is better.

    Returns:
        `start`, `slope` and `end`.
    """
    curve = _finite(accuracy_by_epoch, "accuracy_by_epoch", rank=1)
    return {
        "start": float(curve[0]),
        "slope": float(curve.mean()),
        "end": float(curve[-1]),
    }


def interval(values, level: float = 0.95) -> dict[str, float | None]:
    """Returns the mean over seeds with Student's t interval.

        mean ± t(1 - (1 - level)/2; n - 1) · s / sqrt(n)

    Args:
        values: `[n]`, one value a seed.
        level: Coverage, if the values are drawn from a normal distribution.

    Returns:
        `value`, `low` and `high`; the last two are None for a single seed.
    """
    values = _finite(values, "values", rank=1)
    if not 0 < level < 1:
        raise ValueError(f"`level` must be in (0, 1). Received: {level}")
    mean = float(values.mean())
    if len(values) == 1:
        return {"value": mean, "low": None, "high": None}
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * error)
    return {"value": mean, "low": mean - half, "high": mean + half}


def paired_difference(a, b, level: float = 0.95) -> dict[str, float | None]:
    """Returns the mean of a - b over paired seeds with its t interval.

    Runs of one seed share data order and split, so their difference varies
    less than either; the interval is over the differences.

    Args:
        a: `[seeds]`.
        b: `[seeds]`, of the same seeds in the same order.
        level: As for `interval`.
    """
    a, b = _finite(a, "a", rank=1), _finite(b, "b", rank=1)
    if len(a) != len(b):
        raise ValueError(
            "`a` and `b` must be of the same seeds. Received:"
            f" {len(a)} and {len(b)} values."
        )
    return interval(a - b, level)


def band(accuracy, level: float = 0.95) -> dict[str, list]:
    """Returns the mean curve over seeds and the t interval at each epoch.

    Args:
        accuracy: `[seeds, epochs]`.
        level: As for `interval`.

    Returns:
        Lists `value`, `low` and `high`, as `Report.comparison` takes them.
    """
    accuracy = _finite(accuracy, "accuracy", rank=2)
    points = [interval(column, level) for column in accuracy.T]
    return {
        key: [point[key] for point in points]
        for key in ("value", "low", "high")
    }


def compare(
    arms: Mapping[str, np.ndarray], baseline: str = "scratch"
) -> list[dict]:
    """Compares the learning curves of several arms with a baseline's.

    Args:
        arms: Name to accuracies `[seeds, epochs]`, the same seeds in the
            same order and as many epochs in every arm.
        baseline: The arm that the others are compared with.

    Returns:
        One row an arm: `arm`, `seeds`, intervals `start`, `slope` and `end`;
        except for the baseline `differences` (an interval for each of the
        three) and a `verdict` by the difference at the end: `"helps"` or
        `"negative transfer"` where its 95% interval excludes zero, `"no
        clear difference"` where it does not, None for a single seed. A
        `sentence` says so.

    Example:
    >>> rows = compare({"transfer": pretrained, "scratch": random})
    >>> rows[0]["verdict"]
    'helps'
    """
    curves = _checked_arms(arms, baseline)
    by_measure = {
        arm: {
            measure: np.array([summarize(curve)[measure] for curve in seeds])
            for measure in MEASURES
        }
        for arm, seeds in curves.items()
    }
    return [
        _row(arm, values, baseline, by_measure[baseline])
        for arm, values in by_measure.items()
    ]


def _checked_arms(arms, baseline):
    if baseline not in arms:
        raise ValueError(
            f"`baseline` must be one of the arms {list(arms)}."
            f" Received: {baseline!r}.{nearest(str(baseline), arms)}"
        )
    curves = {
        arm: _finite(values, f"arms[{arm!r}]", rank=2)
        for arm, values in arms.items()
    }
    shapes = {arm: values.shape for arm, values in curves.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            "Every arm needs the same seeds and as many epochs, or their"
            f" curves cannot be paired. Received [seeds, epochs]: {shapes}"
        )
    return curves


def _row(arm, values, baseline, reference):
    seeds = len(values["end"])
    row = {"arm": arm, "seeds": seeds, "differences": None, "verdict": None}
    row |= {measure: interval(values[measure]) for measure in MEASURES}
    if arm == baseline:
        return row | {"sentence": f"'{arm}' is what the others are held to."}
    differences = {
        measure: paired_difference(values[measure], reference[measure])
        for measure in MEASURES
    }
    verdict = _verdict(differences["end"])
    sentence = _sentence(arm, baseline, seeds, differences["end"], verdict)
    return row | {
        "differences": differences,
        "verdict": verdict,
        "sentence": sentence,
    }


def _verdict(end):
    if end["low"] is None:
        return None
    if end["low"] > 0:
        return "helps"
    return "negative transfer" if end["high"] < 0 else "no clear difference"


def _sentence(arm, baseline, seeds, end, verdict):
    said = f"ends {end['value']:+.3f} from '{baseline}'"
    if verdict is None:
        return f"'{arm}' {said}; one seed allows no verdict."
    return (
        f"'{arm}': {verdict}. It {said}, 95% interval {end['low']:+.3f} to"
        f" {end['high']:+.3f} over {seeds} paired seeds."
    )


def _finite(values, name, rank):
    values = np.asarray(values, "float64")
    if values.ndim != rank or not values.size:
        axes = {1: "[n]", 2: "[seeds, epochs]"}[rank]
        raise ValueError(
            f"`{name}` must be an array {axes} with at least one value."
            f" Received shape: {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{name}` has {int((~np.isfinite(values)).sum())} values that"
            " are no finite numbers; did a run fail?"
        )
    return values
