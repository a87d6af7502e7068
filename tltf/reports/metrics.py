"""Figures of merit, as pure functions on NumPy arrays.

All are counted from histograms, so that a thousand bootstrap resamples cost a
second; the tests hold them to scikit-learn's. Where a figure is not defined,
such as an AUC of one class, it is NaN.
"""

import numpy as np

# Keras's epsilon: float32 probabilities of exactly 0 keep a finite loss.
_EPSILON = 1e-7

# What each figure is called on a page.
TITLES = {
    "accuracy": "Accuracy",
    "average_precision": "Average precision",
    "balanced_accuracy": "Balanced accuracy",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "macro_f1": "Macro F1",
    "mae": "Mean absolute error",
    "r2": "R²",
    "rmse": "Root mean squared error",
    "roc_auc": "ROC AUC",
}


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the share of equal entries."""
    return float(np.mean(truth == predicted))


def confusion_matrix(
    truth: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Counts examples by true class (row) and predicted class (column)."""
    cells = truth.astype("int64") * classes + predicted
    counts = np.bincount(cells, minlength=classes**2)
    return counts.reshape(classes, classes)


def precision_recall_f1(
    truth: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Returns precision, recall and F1 of each class.

        precision = TP / (TP + FP)    recall = TP / (TP + FN)
        F1 = 2 TP / (2 TP + FP + FN)

    Args:
        truth: Class numbers `[size]`.
        predicted: The same.
        classes: How many there are.

    Returns:
        `[3, classes]`. NaN: no prediction (precision), no example (recall),
        neither (F1).
    """
    hits = truth[truth == predicted]
    return _rates(
        *(np.bincount(x, minlength=classes) for x in (hits, truth, predicted))
    )


def multi_label_rates(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns precision, recall and F1 of each label, `[3, labels]`.

    Args:
        truth: 0 or 1, `[size, labels]`.
        predicted: The same.
    """
    right = (truth * predicted).sum(axis=0)
    return _rates(right, truth.sum(axis=0), predicted.sum(axis=0))


def balanced_accuracy(rates: np.ndarray) -> float:
    """Returns the mean recall over the classes that have examples."""
    return _mean(rates[1])


def macro_f1(rates: np.ndarray) -> float:
    """Returns the mean F1 over the classes seen in truth or predictions."""
    return _mean(rates[2])


def ranks(scores: np.ndarray) -> np.ndarray:
    """Numbers the distinct scores of each column from 0, lowest first.

    `roc_auc` and `average_precision` look at the order alone; ranking once
    saves sorting in every resample.
    """
    columns = [np.unique(s, return_inverse=True)[1] for s in scores.T]
    return np.stack(columns, axis=1).astype("int32")


def roc_auc(truth: np.ndarray, ranked: np.ndarray) -> float:
    """Returns the area under the ROC curve.

    The share of pairs (positive, negative) in which the positive has the
    higher score; ties count half.

    Args:
        truth: 0 or 1, `[size]`.
        ranked: `[size]`, a column of `ranks`.
    """
    positive, negative = _histograms(truth, ranked)
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return np.nan
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs)


def average_precision(truth: np.ndarray, ranked: np.ndarray) -> float:
    """Returns the average precision, sum of (R_n - R_n-1) P_n.

    P_n and R_n are precision and recall at the n-th threshold from above.

    Args:
        truth: 0 or 1, `[size]`.
        ranked: `[size]`, a column of `ranks`.
    """
    positive, negative = (h[::-1] for h in _histograms(truth, ranked))
    if not positive.sum():
        return np.nan
    found = np.cumsum(positive)
    chosen = np.maximum(found + np.cumsum(negative), 1)
    return float(positive @ (found / chosen) / found[-1])


def macro(function, truth: np.ndarray, ranked: np.ndarray) -> float:
    """Returns the mean of a figure over columns where it is defined.

    With one-hot truth and `roc_auc` this is one-versus-rest.

    Args:
        function: `roc_auc` or `average_precision`.
        truth: 0 or 1, `[size, columns]`.
        ranked: `[size, columns]`, from `ranks`.
    """
    columns = zip(truth.T, ranked.T, strict=True)
    return _mean(np.array([function(t, r) for t, r in columns]))


def log_losses(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns -log of the probability given to the true class, `[size]`."""
    given = probabilities[np.arange(len(truth)), truth].astype("float64")
    return -np.log(np.clip(given, _EPSILON, 1.0))


def multi_label_log_losses(truth, probabilities) -> np.ndarray:
    """Returns the mean binary cross-entropy over labels, `[size]`."""
    p = np.clip(probabilities.astype("float64"), _EPSILON, 1 - _EPSILON)
    return -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean(axis=1)


def brier_scores(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the squared error of the probabilities, `[size]`.

    Brier (1950): the sum over classes of (p - y)², y one-hot; 0 is best, 2
    is worst. For two classes this is twice what scikit-learn gives.

    Args:
        truth: 0 or 1, `[size, classes]`.
        probabilities: `[size, classes]`.
    """
    return ((probabilities.astype("float64") - truth) ** 2).sum(axis=1)


def regression(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns MAE, RMSE and R² of each target.

        MAE = mean |e|   RMSE = sqrt(mean e²)   R² = 1 - mean e² / var(truth)

    Args:
        truth: `[size, targets]`.
        predicted: `[size, targets]`.

    Returns:
        `[3, targets]`; R² is NaN where the truth does not vary.
    """
    error = truth.astype("float64") - predicted
    squared, variance = (error**2).mean(axis=0), truth.var(axis=0, dtype=float)
    return np.stack(
        [
            np.abs(error).mean(axis=0),
            np.sqrt(squared),
            1 - _divide(squared, variance),
        ]
    )


def _rates(right, actual, predicted):
    return np.stack(
        [
            _divide(right, predicted),
            _divide(right, actual),
            _divide(2 * right, actual + predicted),
        ]
    )


def _divide(a, b):
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)


def _mean(values):
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def _histograms(truth, ranked):
    """Counts positives and negatives at each rank."""
    size = int(ranked.max()) + 1
    # One pass: negatives at even, positives at odd places.
    counts = np.bincount(2 * ranked + truth, minlength=2 * size)
    return counts[1::2], counts[0::2]
