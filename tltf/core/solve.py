"""A linear head's best weights on fixed features, and their penalty."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import threadpoolctl

from tltf.core.convex import Fit, logistic, ridge
from tltf.core.labels import Labels
from tltf.errors import TrainingError

# Powers of ten that are tried, strongest regularisation first.
_EXPONENTS = range(-4, 5)
# Largest entry of the gradient of the mean loss: to compare, and to keep.
_COARSE, _FINE = 1e-5, 1e-7
# Losses closer than this share of the least are a tie.
_TIE = 1e-6
# What varies by a smaller share of its mean, or of the feature that varies
# most, is rounding: scaled up it would drown new examples.
_CONSTANT = 1e-6
# About one gigabyte of float64, and half a minute of one processor core.
_MOST_NUMBERS, _MOST_WORK = 2**27, 2**28


@dataclasses.dataclass(frozen=True)
class Solution:
    """The weights of a linear head, and how they were found.

    Args:
        kernel: float32 `[features, units]`, as a Keras Dense has it.
        bias: float32 `[units]`.
        strength: The regularisation that was chosen: scikit-learn's `C` of
            logistic regression (small is strong), `alpha` of ridge regression
            (large is strong).
        losses: The validation loss for each strength tried, strongest first.
        iterations: L-BFGS iterations of all fits; 0 for ridge regression.
        converged: Whether the solver came to an end with these weights.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    losses: dict[float, float]
    iterations: int
    converged: bool


def obstacle(
    head: Sequence[keras.layers.Layer],
    targets: np.ndarray,
    labels: Labels,
) -> str | None:
    """Says why a head cannot be solved, None if it can.

    Args:
        head: The head's built layers, input to output, the last a Dense.
        targets: Those of the training data, as for `solve_head`.
        labels: What the targets mean.

    Returns:
        A short phrase for a line of the log, such as `"class 'bee' has no
        training example"`.

    Example:
    >>> head = [model.get_layer(name) for name in model.head.layers]
    >>> obstacle(head, splits.train.targets, splits.labels)
    """
    *below, top = head
    if any(getattr(layer, "rate", 0) for layer in below):
        return "the head has dropout"
    if any(layer.weights for layer in below):
        return "the head is not linear"
    size, (features, units) = len(targets), top.kernel.shape
    work = size * min(size, features) * units
    if size * features > _MOST_NUMBERS or work > _MOST_WORK:
        return f"{size} x {features} features and {units} units are too many"
    return _gap(targets, labels)


def solve_head(
    train: tuple[np.ndarray, np.ndarray],
    held: tuple[np.ndarray, np.ndarray],
    labels: Labels,
    class_weights: tuple[float, ...] | None = None,
) -> Solution:
    """Solves a linear head on the full batch, and chooses its penalty.

    Features are standardised, z = (x - m) / s, with the mean m and standard
    deviation s of the training features (s = 1 where they are constant).
    For classes and multi_label, L-BFGS (Liu & Nocedal 1989) minimises

        C sum_i c_i loss(V' z_i + b, y_i) + |V|² / 2

    where c is the weight of an example's class and |V|² the sum of squares;
    each label of multi_label is a problem of its own with the same C. For
    regression it is |Y - Z V - b|² + alpha |V|² (Hoerl & Kennard 1970), in
    closed form. The penalty acts on standardised features, not on the bias.
    The head that gives the same outputs on features as they are has

        kernel = V / s        bias = b - m' kernel.

    Strengths are tried by powers of ten, strongest first, until the
    validation loss has risen twice in a row; then half a power to either side
    of the best. Among equals the strongest is chosen.

    Args:
        train: Features `[size, features]`, and targets as in `Split.targets`:
            class numbers `[size]`, or values `[size, units]`.
        held: The same of the validation data, where each example counts once
            whatever its class.
        labels: What the targets mean.
        class_weights: One weight for each class, or None.

    Returns:
        A `Solution`, the same for the same input.

    Raises:
        TrainingError: A feature is not finite.
        ValueError: A class has no training example, see `obstacle`.

    Example:
    >>> solution = solve_head((x, y), (x_val, y_val), Labels(("cat", "dog")))
    >>> dense.set_weights([solution.kernel, solution.bias])
    """
    gap = _gap(train[1], labels)
    if gap:
        raise ValueError(f"The head cannot be solved: {gap}.")
    weights = None
    if class_weights is not None:
        weights = np.asarray(class_weights, "float64")[train[1]]
    # One thread: for problems of this size more of them only wait.
    with threadpoolctl.threadpool_limits(1, "blas"):
        scaling = _scaling(_finite(train[0], "training"))
        x = _standardised(train[0], *scaling)
        x_held = _standardised(_finite(held[0], "validation"), *scaling)
        basis = _row_space(x)
        if basis is not None:
            x, x_held = x @ basis, x_held @ basis
        judge = functools.partial(_loss, labels, x_held, held[1])
        if labels.kind == "regression":
            fit = ridge(x, train[1])
        else:
            fit = functools.partial(logistic, x, train[1], weights)
        return _fold(*_search(fit, judge), basis, *scaling)


def _gap(targets: np.ndarray, labels: Labels) -> str | None:
    """Says which class has no training example, or leaves none to others."""
    if labels.kind == "regression":
        return None
    if labels.are_classes:
        counts = np.bincount(targets, minlength=len(labels.classes))
    else:
        counts = targets.sum(axis=0)
    for name, count in zip(labels.classes, counts, strict=True):
        if not count:
            return f"class {name!r} has no training example"
        if count == len(targets):
            return f"class {name!r} has all training examples"
    return None


def _finite(features: np.ndarray, part: str) -> np.ndarray:
    if not np.isfinite(features).all():
        row = int(np.where(~np.isfinite(features))[0][0])
        raise TrainingError(
            f"The features of {part} example {row} are not finite. Look for"
            " NaN in the inputs."
        )
    return features


def _scaling(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and scale of each feature."""
    mean = features.mean(axis=0, dtype="float64")
    scale = features.std(axis=0, dtype="float64")
    varies = scale > _CONSTANT * np.maximum(np.abs(mean), scale.max())
    return mean, np.where(varies, scale, 1.0)


def _standardised(features, mean, scale) -> np.ndarray:
    x = features.astype("float64")
    x -= mean
    x /= scale
    return x


def _row_space(x: np.ndarray) -> np.ndarray | None:
    """Returns orthonormal columns that span the rows, None if that is slow.

    Penalised weights have no part outside that span, and the penalty does not
    see a rotation, so a problem in these coordinates has the same solution.
    """
    size, features = x.shape
    return np.linalg.qr(x.T)[0] if features >= 2 * size else None


def _search(fit: Callable[..., Fit], judge: Callable[[Fit], float]):
    """Tries strengths, strongest first, and fits the best one to the end.

    Args:
        fit: Takes an exponent that rises as the penalty falls, a tolerance
            and a fit to start from.
        judge: Returns the validation loss.

    Returns:
        The fit that is kept, the loss by strength, and all iterations.
    """
    fits, losses, iterations = {}, {}, 0

    def attempt(exponent, tolerance, near):
        nonlocal iterations
        fits[exponent] = fit(exponent, tolerance, near)
        losses[exponent] = judge(fits[exponent])
        iterations += fits[exponent].iterations

    for exponent in _EXPONENTS:
        attempt(exponent, _COARSE, fits.get(exponent - 1))
        if _has_turned(list(losses.values())):
            break
    best = _strongest_of_best(losses)
    for exponent in (best - 0.5, best + 0.5):
        attempt(exponent, _COARSE, fits[best])
    best = _strongest_of_best(losses)
    attempt(best, _FINE, fits[best])
    by_strength = {fits[e].strength: losses[e] for e in sorted(fits)}
    return fits[best], by_strength, iterations


def _has_turned(losses: list[float]) -> bool:
    """Whether the loss has risen twice in a row."""
    return len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]


def _strongest_of_best(losses: dict[float, float]) -> float:
    limit = min(losses.values()) * (1 + _TIE)
    return min(exponent for exponent in losses if losses[exponent] <= limit)


def _loss(labels, x, targets, fit: Fit) -> float:
    """Returns the loss that the model has on validation data."""
    outputs = (x @ fit.weights + fit.bias).astype("float32")
    # Keras' activation hands its input on to the loss, which is exact so.
    activate = keras.activations.get(labels.activation)
    outputs = activate(keras.ops.convert_to_tensor(outputs))
    losses = labels.loss()(labels.encode(targets), outputs)
    return float(np.mean(keras.ops.convert_to_numpy(losses), dtype="float64"))


def _fold(fit, losses, iterations, basis, mean, scale) -> Solution:
    """Puts basis and scaling into the weights."""
    weights = fit.weights if basis is None else basis @ fit.weights
    kernel = weights / scale[:, None]
    return Solution(
        kernel.astype("float32"),
        (fit.bias - mean @ kernel).astype("float32"),
        fit.strength,
        losses,
        iterations,
        fit.converged,
    )
