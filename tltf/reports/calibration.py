"""Whether a model that says 80% is right in 80% of such cases."""

import numpy as np

# Predictions simulated for `chance`, in all draws: about half a second.
_BUDGET = 30_000_000


def calibration(
    confidence: np.ndarray, right: np.ndarray, bins: int = 15, seed: int = 0
) -> dict:
    """Returns the expected calibration error and the bins it comes from.

    Guo et al., "On Calibration of Modern Neural Networks" (2017): examples
    are put in M bins of equal width by confidence, bin m being
    ((m - 1)/M, m/M], and

        ECE = sum_m |B_m|/n · |accuracy(B_m) - confidence(B_m)|

    Noise in a bin can only raise the sum, so a bootstrap would be off, and
    no model reaches 0: `chance` is the mean ECE of a perfectly calibrated
    model of the same confidences and size, right or wrong by a coin that
    falls as it says.

    Args:
        confidence: `[size]`, the probability of what was predicted.
        right: `[size]`, 0 or 1: whether the prediction was right.
        bins: M.
        seed: Of the coins for `chance`.

    Returns:
        `ece`, `chance`, and `bins`: for each `low`, `high`, `count`, and the
        means `confidence` and `accuracy`, None in an empty bin.
    """
    confidence = np.asarray(confidence, "float64")
    place = np.ceil(confidence * bins).astype(int) - 1
    place = np.clip(place, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    said, true = (
        np.bincount(place, values, minlength=bins) / np.maximum(counts, 1)
        for values in (confidence, right)
    )
    rows = [
        {
            "low": m / bins,
            "high": (m + 1) / bins,
            "count": int(counts[m]),
            "confidence": float(said[m]) if counts[m] else None,
            "accuracy": float(true[m]) if counts[m] else None,
        }
        for m in range(bins)
    ]
    return {
        "ece": float(counts @ np.abs(true - said) / len(confidence)),
        "chance": _chance(confidence, place, bins, seed),
        "bins": rows,
    }


def _chance(confidence, place, bins, seed):
    generator = np.random.default_rng(seed)
    draws = int(np.clip(_BUDGET // len(confidence), 1, 200))
    errors = []
    for _ in range(draws):
        right = generator.random(len(confidence)) < confidence
        gaps = np.bincount(place, right - confidence, minlength=bins)
        errors.append(np.abs(gaps).sum() / len(confidence))
    return float(np.mean(errors))
