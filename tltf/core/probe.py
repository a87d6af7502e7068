"""Solves a model's linear head on the features that a stage reads."""

import keras
import numpy as np

from tltf.core import solve
from tltf.core.cache.feed import Feed
from tltf.core.cache.source import FeatureSource
from tltf.core.model import TransferModel
from tltf.core.objective import Supervised
from tltf.core.solve import Solution
from tltf.core.stage import Stage


def reason_for_steps(
    model: TransferModel, stage: Stage, feed: Feed, objective: Supervised
) -> str | None:
    """Says why a stage is trained in steps, None if its head is solved.

    Args:
        model: The model.
        stage: What is meant to happen.
        feed: What the stage reads.
        objective: What would be trained in steps.

    Returns:
        A short phrase, empty where the stage says so itself.

    Raises:
        ValueError: The stage is to be solved, and cannot be.
    """
    if stage.solver == "steps":
        return ""
    why = _obstacle(model, stage, feed, objective)
    if why is not None and stage.solver == "lbfgs":
        raise ValueError(
            f"Stage '{stage.name}' cannot be solved by L-BFGS: {why}. With"
            " solver='auto' it is then trained in steps."
        )
    return why


def solve_head(
    model: TransferModel, feed: Feed, class_weights: tuple[float, ...] | None
) -> Solution:
    """Solves the head and sets its weights.

    Args:
        model: Its head gets the solution.
        feed: What the stage reads.
        class_weights: One for each class, or None.
    """
    solution = solve.solve_head(
        (_features(feed.train), _targets(feed.train)),
        (_features(feed.held), feed.held.split.targets),
        model.labels,
        class_weights,
    )
    _head(model)[-1].set_weights([solution.kernel, solution.bias])
    return solution


def _obstacle(model, stage, feed, objective) -> str | None:
    """Says why a head cannot be solved, None if it can."""
    if stage.unfreeze not in (0, None):
        return "more than the head trains"
    if stage.span == "recipe":
        return "its schedule spans several stages"
    if feed.train is None:
        return f"it has no cached features ({feed.reason})"
    if feed.held is None:
        return "its validation part has no cached features"
    why = solve.obstacle(_head(model), feed.train.split.targets, model.labels)
    if why:
        return why
    left = [
        layer
        for layer in objective.suffix.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    if objective.bridge is not None or left != _head(model)[-1:]:
        return "its features are not those below the last layer"
    if _targets(feed.train) is None:
        return "its augmentation mixes targets"
    return None


def _head(model: TransferModel) -> list[keras.layers.Layer]:
    return [model.get_layer(name) for name in model.head.layers]


def _features(source: FeatureSource) -> np.ndarray:
    """The features of all rows, float32 `[rows, features]`."""
    table = source.table
    features = table.columns[0].to_tensor(np.asarray(table.arrays[0]))
    return keras.ops.convert_to_numpy(keras.ops.cast(features, "float32"))


def _targets(source: FeatureSource) -> np.ndarray | None:
    """The targets of all rows; None if augmentation has mixed them."""
    split = source.split
    if not source.views:
        return split.targets
    plain = np.concatenate([split.targets] * source.views)
    encoded = keras.ops.convert_to_numpy(split.labels.encode(plain))
    return plain if np.array_equal(encoded, source.table.arrays[-1]) else None
