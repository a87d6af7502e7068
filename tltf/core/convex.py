"""Penalised linear models, each fitted for one strength of its penalty."""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

_MOST_ITERATIONS = 2000


@dataclasses.dataclass(frozen=True)
class Fit:
    """Weights `[features, units]` and bias `[units]` for one strength."""

    strength: float
    weights: np.ndarray
    bias: np.ndarray
    iterations: int = 0
    converged: bool = True


def logistic(
    x: np.ndarray,
    targets: np.ndarray,
    sample_weight: np.ndarray | None,
    exponent: float,
    tolerance: float,
    near: Fit | None = None,
) -> Fit:
    """Fits one logistic regression, or one for each column of targets.

    Args:
        x: `[size, features]`.
        targets: Class numbers `[size]`, or 0 and 1 `[size, labels]`.
        sample_weight: `[size]`, or None.
        exponent: Of ten; gives scikit-learn's `C`.
        tolerance: Largest entry of the gradient of the mean loss.
        near: A fit to start from.
    """
    problems = [targets] if targets.ndim == 1 else targets.T
    solvers, converged = [], []
    for i, problem in enumerate(problems):
        solver = LogisticRegression(
            C=10.0**exponent,
            tol=tolerance,
            max_iter=_MOST_ITERATIONS,
            warm_start=True,
        )
        if near is not None:
            own = slice(None) if targets.ndim == 1 else slice(i, i + 1)
            solver.coef_ = near.weights.T[own]
            solver.intercept_ = near.bias[own]
        converged.append(_converges(solver, x, problem, sample_weight))
        solvers.append(solver)
    return Fit(
        10.0**exponent,
        np.concatenate([solver.coef_ for solver in solvers]).T,
        np.concatenate([solver.intercept_ for solver in solvers]),
        sum(int(solver.n_iter_.max()) for solver in solvers),
        all(converged),
    )


def _converges(solver, x, targets, sample_weight) -> bool:
    """Fits, and shows all warnings but those that it did not converge."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        solver.fit(x, targets, sample_weight)
    others = [w for w in caught if w.category is not ConvergenceWarning]
    for other in others:
        warnings.warn_explicit(
            other.message, other.category, other.filename, other.lineno
        )
    return len(others) == len(caught)


def ridge(x: np.ndarray, targets: np.ndarray) -> Callable[..., Fit]:
    """Decomposes the features once and returns a fit for any strength.

    Args:
        x: `[size, features]`, of mean zero.
        targets: `[size, units]`.

    Returns:
        A function of exponent, tolerance and near as `logistic` has them; the
        strength is 10^-exponent, and neither of the others is needed.
    """
    mean = targets.mean(axis=0, dtype="float64")
    values, vectors = np.linalg.eigh(x.T @ x)
    projected = vectors.T @ (x.T @ (targets - mean))

    def fit(exponent, tolerance, near=None):
        alpha = 10.0**-exponent
        shrunk = projected / (np.maximum(values, 0) + alpha)[:, None]
        return Fit(alpha, vectors @ shrunk, mean)

    return fit
