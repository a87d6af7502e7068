"""What a stage comes to for given data and a given model."""

from collections.abc import Sequence

import numpy as np

from tltf.core.model import TransferModel
from tltf.core.schedule import Schedule
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.core.stage import Stage


def learns_from_batch(stage: Stage) -> bool:
    """Whether a stage's batches must be whole.

    Statistics of a partial batch are poor, and one that was filled up for
    several replicas would teach them its filling.
    """
    return stage.batch_norm == "train"


def steps(stage: Stage, train: Split) -> int:
    """How many steps an epoch of a stage takes."""
    return train.steps_of(learns_from_batch(stage))


def schedule(
    stages: Sequence[Stage], number: int, train: Split, step: int
) -> Schedule:
    """Returns the rate of a stage; those that span the recipe share one.

    Args:
        stages: All stages of the recipe.
        number: Which of them.
        train: The training data.
        step: How many steps the optimizer has taken before the stage.
    """
    stage, first, last = stages[number], number, number
    if stage.span == "recipe":
        spans = [other.span == "recipe" for other in stages]
        while first > 0 and spans[first - 1]:
            first -= 1
        while last + 1 < len(spans) and spans[last + 1]:
            last += 1
    spanned = [
        other.epochs * steps(other, train) for other in stages[first : last + 1]
    ]
    return Schedule(
        stage.learning_rate,
        sum(spanned),
        stage.schedule,
        stage.warmup,
        step - sum(spanned[: number - first]),
    )


def rate(schedule: Schedule) -> float | Schedule:
    """Returns a number for a constant rate, so that callbacks can set it."""
    is_constant = schedule.shape == "constant" and not schedule.warmup
    return float(schedule.peak) if is_constant else schedule


def multipliers(model: TransferModel, stage: Stage) -> dict[str, float]:
    """Returns each variable's multiple of the rate, by the depth of its block.

    Returns:
        Variable path to `discriminative ** -depth`; the head and the topmost
        block have depth 0.
    """
    names = [block.name for block in model.blocks]
    depths = {name: max(len(names) - 2 - i, 0) for i, name in enumerate(names)}
    return {
        variable.path: stage.discriminative ** -depths[name]
        for name, variables in model.learnable().items()
        for variable in variables
    }


def class_weights(splits: Splits, stage: Stage) -> tuple[float, ...] | None:
    """Returns a weight for each class, None where all weigh the same.

    `"balanced"` is examples / (classes * examples of the class), so that the
    mean over the examples is one (King & Zeng 2001, as in scikit-learn).

    Raises:
        ValueError: The labels are no classes, or the names are not theirs.
    """
    wanted = stage.class_weights
    if wanted is None:
        return None
    if not splits.labels.are_classes:
        raise ValueError(
            "`class_weights` needs one class an example; these labels are"
            f" {splits.labels.kind}."
        )
    if wanted == "balanced":
        counts = np.array(list(splits.train.class_counts.values()))
        weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return tuple(map(float, weights))
    unknown = sorted(set(wanted) ^ set(splits.classes))
    if unknown:
        raise ValueError(
            "`class_weights` must have a weight for each of"
            f" {splits.classes}, no more and no less. Not so: {unknown}"
        )
    return tuple(float(wanted[name]) for name in splits.classes)
