"""Measures a model on data it has not learned from."""

from tltf.core.model import TransferModel
from tltf.reports.measure import measure
from tltf.reports.predictions import predict
from tltf.reports.report import Report
from tltf.reports.worst import describe, show


def evaluate(
    model: TransferModel,
    split,
    *,
    worst: int = 12,
    resamples: int = 1000,
    seed: int = 0,
) -> Report:
    """Measures a model on data, in one pass.

    Args:
        model: A `TransferModel`, however it was trained.
        split: A `Split` such as `splits.test`; or a `tf.data.Dataset` of
            `(inputs, labels)`, batched or not; or a tuple of arrays.
        worst: How many of the worst mistakes to show.
        resamples: Of the bootstrap that gives the intervals.
        seed: Of the bootstrap.

    Returns:
        A `Report`. The intervals say how far figures would move with other
        test examples; what another training seed would give is not in them.

    Raises:
        ValueError: Data and model do not fit each other.
        TrainingError: Predictions hold NaN or infinity.

    Example:
    >>> report = tltf.evaluate(model, splits.test)
    >>> report.metrics["accuracy"]["low"]
    0.912
    >>> report.save("runs/flowers")
    """
    if not isinstance(model, TransferModel):
        raise TypeError(
            "`model` must be a TransferModel, which knows its classes."
            f" Received: {type(model).__name__}"
        )
    if worst < 0:
        raise ValueError(f"`worst` must not be negative. Received: {worst}")
    found = predict(model, split, worst)
    measured = measure(
        model.labels,
        found.targets,
        found.probabilities,
        resamples=resamples,
        seed=seed,
    )
    return Report(
        kind=model.labels.kind,
        classes=model.labels.classes,
        size=len(found.targets),
        worst=_mistakes(model, found),
        facts={**model.origin, "parameters": model.count_params()},
        **measured,
    )


def _mistakes(model, found):
    kind = getattr(model.preprocess, "kind", None)
    names = found.names or [f"example {i}" for i in found.worst]
    return [
        {
            "name": name,
            **describe(model.labels, found.targets[i], found.probabilities[i]),
            **show(raw, kind),
        }
        for i, name, raw in zip(found.worst, names, found.raw, strict=True)
    ]
