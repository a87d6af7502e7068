import warnings

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tltf.core import convex, solve
from tltf.core.labels import Labels
from tltf.errors import TrainingError

LABELS = {
    "binary": Labels(("ape", "bee")),
    "categorical": Labels(("ape", "bee", "cat")),
    "multi_label": Labels(("red", "big"), "multi_label"),
    "regression": Labels(("height", "weight"), "regression"),
}
# Few and many features: the latter are solved in the span of the examples.
KINDS = [(kind, features) for kind in LABELS for features in (5, 200)]


def problem(kind, features, size, noise=1.0, seed=0):
    """Skewed features of unequal scale, and targets that depend on them."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=(size, 3))
    mixing = random.normal(size=(3, features))
    x = signal @ mixing + random.normal(size=(size, features))
    x = np.exp(0.3 * x) * random.uniform(0.1, 10, features)
    score = signal + noise * random.normal(size=(size, 3))
    targets = {
        "binary": (score[:, 0] > 0).astype("int32"),
        "categorical": score.argmax(axis=1).astype("int32"),
        "multi_label": (score[:, :2] > 0.3).astype("float32"),
        "regression": (5 + score[:, :2]).astype("float32"),
    }
    return x.astype("float32"), targets[kind]


def parts(kind, features=5, **more):
    """Training and validation examples of the same problem."""
    x, y = problem(kind, features, size=100, **more)
    return (x[:60], y[:60]), (x[60:], y[60:])


def reference(kind, strength, class_weight=None):
    """scikit-learn's own, fitted far beyond its default tolerance."""
    if kind == "regression":
        return make_pipeline(StandardScaler(), Ridge(strength))
    estimator = LogisticRegression(
        C=strength, tol=1e-9, max_iter=10000, class_weight=class_weight
    )
    if kind == "multi_label":
        estimator = OneVsRestClassifier(estimator)
    return make_pipeline(StandardScaler(), estimator)


def reference_outputs(fitted, x):
    if not hasattr(fitted, "predict_proba"):
        return fitted.predict(x)
    outputs = fitted.predict_proba(x)
    is_binary = len(fitted.classes_) == 2 and np.ndim(fitted.classes_) == 1
    is_one_vs_rest = isinstance(fitted[-1], OneVsRestClassifier)
    return outputs[:, 1:] if is_binary and not is_one_vs_rest else outputs


def reference_loss(kind, fitted, x, y):
    outputs = reference_outputs(fitted, x).astype("float64")
    if kind == "regression":
        return np.mean((outputs - y) ** 2)
    if kind == "multi_label":
        return np.mean([log_loss(y[:, i], outputs[:, i]) for i in range(2)])
    return log_loss(y, outputs[:, 0] if kind == "binary" else outputs)


def dense(solution, labels):
    """A model of a single Dense layer with the solution's weights."""
    features, units = solution.kernel.shape
    layer = keras.layers.Dense(labels.units, labels.activation)
    model = keras.Sequential([keras.Input((features,)), layer])
    layer.set_weights([solution.kernel, solution.bias])
    assert units == labels.units
    return model


def gradient(solution, x, y, labels, weights=None):
    """Of the mean loss and its penalty, by kernel and bias, written out."""
    x = x.astype("float64")
    mean, scale = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / scale
    kernel = solution.kernel * scale[:, None]
    outputs = z @ kernel + solution.bias + mean @ solution.kernel
    penalty = solution.strength if labels.kind == "regression" else 1.0
    factor = 1.0 if labels.kind == "regression" else solution.strength
    if labels.kind == "categorical":
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
        y = np.eye(outputs.shape[1])[y]
    elif labels.kind != "regression":
        outputs = 1 / (1 + np.exp(-outputs))
        y = y.reshape(outputs.shape)
    error = (outputs - y) * (1.0 if weights is None else weights[:, None])
    by_kernel = factor * z.T @ error + penalty * kernel
    total = factor * (len(x) if weights is None else weights.sum())
    return by_kernel / total, factor * error.sum(axis=0) / total


@pytest.mark.parametrize(("kind", "features"), KINDS)
def test_gradient_of_the_penalised_loss_is_zero(kind, features):
    train, held = parts(kind, features)
    solution = solve.solve_head(train, held, LABELS[kind])
    assert solution.converged
    for part in gradient(solution, *train, LABELS[kind]):
        np.testing.assert_allclose(part, 0, atol=2e-6)


@pytest.mark.parametrize(("kind", "features"), KINDS)
def test_a_dense_layer_predicts_as_sklearn_does(kind, features):
    train, held = parts(kind, features)
    solution = solve.solve_head(train, held, LABELS[kind])
    fitted = reference(kind, solution.strength)
    fitted.fit(train[0].astype("float64"), train[1])
    np.testing.assert_allclose(
        dense(solution, LABELS[kind]).predict(held[0], verbose=0),
        reference_outputs(fitted, held[0].astype("float64")),
        rtol=1e-6 if kind == "regression" else 0,
        atol=1e-6,
    )


@pytest.mark.parametrize(("kind", "features"), KINDS)
def test_strength_is_the_best_of_an_exhaustive_search(kind, features):
    train, held = parts(kind, features, noise=2.0, seed=3)
    solution = solve.solve_head(train, held, LABELS[kind])

    def loss(strength):
        fitted = reference(kind, strength)
        fitted.fit(train[0].astype("float64"), train[1])
        return reference_loss(kind, fitted, *held)

    powers = [10.0**i for i in range(-4, 5)]
    best = min(powers, key=loss)
    best = min((best * 10**-0.5, best, best * 10**0.5), key=loss)
    assert solution.strength == pytest.approx(best)
    assert solution.losses[solution.strength] == min(solution.losses.values())
    for strength, found in solution.losses.items():
        assert found == pytest.approx(loss(strength), rel=1e-2)


@pytest.mark.parametrize("kind", LABELS)
def test_loss_is_what_keras_evaluates(kind):
    train, held = parts(kind)
    solution = solve.solve_head(train, held, LABELS[kind])
    model = dense(solution, LABELS[kind])
    model.compile(loss=type(LABELS[kind].loss())())
    targets = LABELS[kind].encode(held[1])
    loss = model.evaluate(held[0], targets, batch_size=40, verbose=0)
    assert solution.losses[solution.strength] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("kind", ["binary", "categorical"])
def test_class_weights_weigh_training_and_not_validation(kind):
    train, held = parts(kind)
    weights = (0.3, 2.0, 5.0)[: len(LABELS[kind].classes)]
    solution = solve.solve_head(train, held, LABELS[kind], weights)
    by_example = np.array(weights)[train[1]]
    for part in gradient(solution, *train, LABELS[kind], by_example):
        np.testing.assert_allclose(part, 0, atol=2e-6)
    fitted = reference(kind, solution.strength, dict(enumerate(weights)))
    fitted.fit(train[0].astype("float64"), train[1])
    loss = reference_loss(kind, fitted, *held)
    assert solution.losses[solution.strength] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_constant_feature_changes_nothing(kind, value):
    train, held = parts(kind)

    def with_constant(part):
        constant = np.full((len(part[0]), 1), value, "float32")
        return np.concatenate([part[0], constant], axis=1), part[1]

    plain = solve.solve_head(train, held, LABELS[kind])
    wider = solve.solve_head(
        with_constant(train), with_constant(held), LABELS[kind]
    )
    assert wider.strength == plain.strength
    np.testing.assert_allclose(wider.kernel[-1], 0, atol=1e-12)
    np.testing.assert_allclose(wider.kernel[:-1], plain.kernel, atol=1e-5)
    np.testing.assert_allclose(wider.bias, plain.bias, atol=1e-5)


@pytest.mark.parametrize("kind", LABELS)
def test_of_equal_strengths_the_strongest_is_chosen(kind):
    train, held = parts(kind)
    train, held = ((np.ones_like(x), y) for x, y in (train, held))
    solution = solve.solve_head(train, held, LABELS[kind])
    chosen = 10**4.5 if kind == "regression" else 10**-4.5
    assert solution.strength == pytest.approx(chosen)
    assert not solution.kernel.any()
    share = np.atleast_2d(LABELS[kind].encode(train[1])).mean(axis=0)
    outputs = dense(solution, LABELS[kind]).predict(held[0], verbose=0)
    np.testing.assert_allclose(outputs[0], share, atol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "categorical", "multi_label"])
def test_separable_classes_give_finite_weights(kind):
    random = np.random.default_rng(0)
    labels = LABELS[kind]
    y = np.arange(90) % len(labels.classes)
    x = 1000.0 * np.eye(3)[y] + random.normal(size=(90, 3))
    if kind == "multi_label":
        y = np.eye(2, dtype="float32")[y]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        solution = solve.solve_head((x, y), (x, y), labels)
    assert np.isfinite(solution.kernel).all()
    assert np.isfinite(solution.bias).all()
    assert np.isfinite(list(solution.losses.values())).all()
    # Nothing speaks for a penalty, so it ends where the grid does.
    assert solution.strength >= 1e3
    outputs = dense(solution, labels).predict(x, verbose=0)
    given = labels.probabilities(outputs)
    expected = y if kind == "multi_label" else np.eye(len(labels.classes))[y]
    np.testing.assert_array_equal(given > 0.99, expected > 0)


def test_solver_that_does_not_arrive_says_so_and_warns_not(monkeypatch):
    monkeypatch.setattr(convex, "_MOST_ITERATIONS", 1)
    train, held = parts("categorical")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "__array__ implementation")
        solution = solve.solve_head(train, held, LABELS["categorical"])
    assert not solution.converged


@pytest.mark.parametrize("kind", LABELS)
def test_sklearn_deprecates_nothing_that_is_used(kind):
    train, held = parts(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "__array__ implementation")
        solve.solve_head(train, held, LABELS[kind])


def test_turned_losses_end_the_search_before_weak_penalties():
    train, held = parts("categorical", 200, noise=3.0)
    solution = solve.solve_head(train, held, LABELS["categorical"])
    assert len(solution.losses) < 11
    assert max(solution.losses) < 1e4
    assert list(solution.losses) == sorted(solution.losses)


@pytest.mark.parametrize(("kind", "features"), KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solving_twice_gives_the_same(kind, features, dtype):
    train, held = parts(kind, features)
    train = train[0].astype(dtype), train[1]
    held = held[0].astype(dtype), held[1]
    once = solve.solve_head(train, held, LABELS[kind])
    again = solve.solve_head(train, held, LABELS[kind])
    assert once.kernel.dtype == once.bias.dtype == "float32"
    np.testing.assert_array_equal(once.kernel, again.kernel)
    np.testing.assert_array_equal(once.bias, again.bias)
    assert once.strength == again.strength
    assert once.losses == again.losses


def test_features_that_are_not_finite_are_named():
    train, held = parts("binary")
    held[0][7, 2] = np.nan
    with pytest.raises(TrainingError, match="validation example 7 are not"):
        solve.solve_head(train, held, LABELS["binary"])


def test_class_without_example_cannot_be_solved():
    train, held = parts("categorical")
    targets = np.where(train[1] == 1, 0, train[1])
    with pytest.raises(ValueError, match="class 'bee' has no training"):
        solve.solve_head((train[0], targets), held, LABELS["categorical"])


@pytest.mark.parametrize(
    ("kind", "targets", "reason"),
    [
        ("categorical", [0, 1, 2, 1], None),
        ("categorical", [0, 0, 2, 2], "class 'bee' has no training example"),
        ("binary", [1, 1, 1], "class 'ape' has no training example"),
        ("multi_label", [[0, 1], [1, 0]], None),
        ("multi_label", [[0, 1], [0, 0]], "class 'red' has no training"),
        ("multi_label", [[0, 1], [1, 1]], "class 'big' has all training"),
        ("regression", [[1.0, 2.0]], None),
    ],
)
def test_obstacles_in_the_targets(make_model, kind, targets, reason):
    model = make_model(LABELS[kind])
    dtype = "int32" if LABELS[kind].are_classes else "float32"
    found = solve.obstacle(
        layers(model), np.array(targets, dtype), LABELS[kind]
    )
    assert found == reason if reason is None else reason in found


def test_obstacles_in_the_head(make_model):
    targets = np.arange(9) % 3
    labels = LABELS["categorical"]
    model = make_model(head="mlp")
    found = solve.obstacle(layers(model), targets, labels)
    assert found == "the head is not linear"
    dropping = [keras.layers.Dropout(0.1), *layers(make_model())]
    assert "dropout" in solve.obstacle(dropping, targets, labels)
    many = np.broadcast_to(np.int32(0), 2**27)
    assert "too many" in solve.obstacle(layers(make_model()), many, labels)


def layers(model):
    return [model.get_layer(name) for name in model.head.layers]
