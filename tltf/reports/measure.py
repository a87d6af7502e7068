"""Everything that is measured of predictions, by the kind of the labels."""

import numpy as np

from tltf.core.labels import Labels
from tltf.reports import metrics
from tltf.reports.calibration import calibration
from tltf.reports.draws import Draws, figure
from tltf.reports.intervals import wilson

_LARGEST_CONFUSION = 1000


def measure(
    labels: Labels,
    targets: np.ndarray,
    probabilities: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Measures predictions against the truth.

    Args:
        labels: What is predicted.
        targets: Class numbers `[size]`, or values `[size, units]`.
        probabilities: One column a class, see `Labels.probabilities`.
        resamples: Of each bootstrap; fewer where that would take too long,
            which the notes then say.
        seed: Of the bootstraps.

    Returns:
        The fields `metrics`, `per_class`, `confusion`, `calibration` and
        `notes` of a `Report`. The first metric is the main one.
    """
    draws = Draws(resamples, seed)
    by_kind = {"regression": _regression, "multi_label": _multi_label}
    measured = by_kind.get(labels.kind, _classes)(
        labels, targets, probabilities, draws
    )
    measured["notes"] = [*measured["notes"], *draws.notes]
    return measured


def _classes(labels, targets, probabilities, draws):
    count = len(labels.classes)
    truth = np.asarray(targets, "int64")
    predicted = probabilities.argmax(axis=1)
    one_hot = np.eye(count, dtype="int8")[truth]
    confidence = probabilities.max(axis=1)
    right = truth == predicted
    support = np.bincount(truth, minlength=count)
    rates = metrics.precision_recall_f1(truth, predicted, count)

    def averages(truth, predicted):
        drawn = metrics.precision_recall_f1(truth, predicted, count)
        return metrics.balanced_accuracy(drawn), metrics.macro_f1(drawn)

    losses = _losses(
        metrics.log_losses(truth, probabilities),
        metrics.brier_scores(one_hot, probabilities),
    )
    # The AUC of two classes is the same for both: once is enough.
    columns = slice(1, 2) if labels.kind == "binary" else slice(None)
    return {
        "metrics": {
            "accuracy": figure(
                right.mean(), *wilson(int(right.sum()), len(right))
            ),
            **draws.metrics(
                ["balanced_accuracy", "macro_f1"], averages, [truth, predicted]
            ),
            **_ranked(
                draws,
                ["roc_auc"],
                one_hot[:, columns],
                probabilities[:, columns],
            ),
            **draws.metrics(*losses),
        },
        "per_class": _rows(labels, rates, support),
        "confusion": _confusion(truth, predicted, count),
        "calibration": calibration(confidence, right),
        "notes": [
            *_baseline(labels, support),
            *_absent(labels, support),
            *_few(right),
        ],
    }


def _multi_label(labels, targets, probabilities, draws):
    truth = np.asarray(targets).astype("int8")
    predicted = (probabilities > 0.5).astype("int8")
    right = truth == predicted
    support = truth.sum(axis=0, dtype=int)

    def averages(right, truth, predicted):
        drawn = metrics.multi_label_rates(truth, predicted)
        return right.mean(), metrics.macro_f1(drawn)

    losses = _losses(
        metrics.multi_label_log_losses(truth, probabilities),
        metrics.brier_scores(truth, probabilities) / len(labels.classes),
    )
    names = ["average_precision", "roc_auc"]
    return {
        "metrics": {
            **_ranked(draws, names, truth, probabilities),
            **draws.metrics(
                ["accuracy", "macro_f1"], averages, [right, truth, predicted]
            ),
            **draws.metrics(*losses),
        },
        "per_class": _rows(
            labels, metrics.multi_label_rates(truth, predicted), support
        ),
        "confusion": None,
        "calibration": calibration(
            np.maximum(probabilities, 1 - probabilities).ravel(), right.ravel()
        ),
        "notes": [
            "Accuracy is the share of single labels, present or absent, that"
            " are right at a probability of 0.5; where most labels are absent"
            " it is high for any model.",
            *_absent(labels, support),
        ],
    }


def _regression(labels, targets, outputs, draws):
    truth = np.asarray(targets, "float64")

    def averages(truth, outputs):
        return metrics.regression(truth, outputs).mean(axis=1)

    names = ["mae", "rmse", "r2"]
    columns = metrics.regression(truth, outputs).T
    rows = zip(labels.classes, columns, strict=True)
    return {
        "metrics": draws.metrics(names, averages, [truth, outputs]),
        "per_class": [
            {"class": name, **dict(zip(names, row, strict=True))}
            | {"support": len(truth)}
            for name, row in rows
        ],
        "confusion": None,
        "calibration": None,
        "notes": ["Figures are means over the targets, whatever their units."]
        if len(labels.classes) > 1
        else [],
    }


def _ranked(draws, names, truth, probabilities):
    """Measures figures that look at the order of the scores alone."""
    functions = [getattr(metrics, name) for name in names]

    def figures(truth, ranked):
        return [metrics.macro(f, truth, ranked) for f in functions]

    return draws.metrics(names, figures, [truth, metrics.ranks(probabilities)])


def _losses(log_losses, brier_scores):
    def means(losses):
        return losses.mean(axis=0)

    columns = np.stack([log_losses, brier_scores], axis=1)
    return ["log_loss", "brier"], means, [columns]


def _rows(labels, rates, support):
    names = ("precision", "recall", "f1")
    columns = zip(labels.classes, rates.T, support, strict=True)
    return [
        {"class": name, **dict(zip(names, row, strict=True)), "support": size}
        for name, row, size in columns
    ]


def _confusion(truth, predicted, count):
    if count > _LARGEST_CONFUSION:
        return None
    return metrics.confusion_matrix(truth, predicted, count)


def _baseline(labels, support):
    common = int(support.argmax())
    yield (
        f"Always answering '{labels.classes[common]}' would be right in"
        f" {support[common] / support.sum():.1%} of the examples."
    )


def _absent(labels, support):
    absent = [labels.classes[i] for i in np.where(support == 0)[0]]
    if absent:
        named = ", ".join(f"'{name}'" for name in absent[:5])
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        yield (
            f"No example of {named}{more}: averages over classes and the ROC"
            " AUC are over the other classes."
        )


def _few(right):
    if right.all() or not right.any():
        yield (
            f"All {len(right)} examples are"
            f" {'right' if right.all() else 'wrong'}: only the interval of"
            " the accuracy (Wilson's) says how far that can be trusted; those"
            " of balanced accuracy and F1, bootstrapped, have no width."
        )
