import functools

import keras
import numpy as np
import pytest

from tests.conftest import CLASSES, tiny_backbone
from tltf.core import optimizer as optimizers
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.optimizer import (
    LossScale,
    carry_over,
    make_optimizer,
    with_loss_scale,
)
from tltf.core.precision import policy
from tltf.core.stage import Stage


def variables(*values):
    return [
        keras.Variable(value, name=f"v{i}") for i, value in enumerate(values)
    ]


def adam(gradients, start, rate, multiplier=1.0, decay=0.0):
    """Kingma & Ba 2015 with decoupled decay, in NumPy."""
    value, m, v = start.astype("float64"), 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        value = value * (1 - rate * multiplier * decay)
        step = rate * multiplier * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        value = value - step * m / (np.sqrt(v) + 1e-7)
    return value


def test_rates_and_decay_for_each_variable_equal_numpy():
    random = np.random.default_rng(0)
    start = random.normal(size=(3, 2))
    bias = random.normal(size=(2,))
    ours = variables(start, bias)
    optimizer = make_optimizer("adam", 0.01)
    optimizer.set_variables({ours[0].path: 0.5, ours[1].path: 0.1}, {}, 0.3)
    optimizer.build(ours)
    gradients = random.normal(size=(6, 3, 2)), random.normal(size=(6, 2))
    for pair in zip(*gradients, strict=True):
        optimizer.apply([keras.ops.cast(g, "float32") for g in pair], ours)
    expected = adam(gradients[0], start, 0.01, 0.5, decay=0.3)
    np.testing.assert_allclose(ours[0].numpy(), expected, rtol=1e-5)
    # One dimension: no decay.
    expected = adam(gradients[1], bias, 0.01, 0.1)
    np.testing.assert_allclose(ours[1].numpy(), expected, rtol=1e-5)


def test_a_variable_that_joins_late_steps_as_if_it_began_then():
    """Without the correction Adam steps 2.8 times too far at step 200."""
    early, late = variables(np.zeros(2), np.ones(2))
    old = make_optimizer("adam", 0.01)
    old.build([early])
    for _ in range(200):
        old.apply([keras.ops.ones(2)], [early])
    new = make_optimizer("adam", 0.01)
    new.set_variables({}, {late.path: 200})
    new.build([early, late])
    assert carry_over(old, new) == 2
    assert int(new.iterations.numpy()) == 200
    gradients = np.random.default_rng(0).normal(size=(5, 2))
    for gradient in gradients:
        gradient = keras.ops.cast(gradient, "float32")
        new.apply([gradient, gradient], [early, late])
    expected = adam(gradients, np.ones(2), 0.01)
    np.testing.assert_allclose(late.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "lion"])
def test_carried_slots_go_on_as_if_never_stopped(name):
    gradient = keras.ops.convert_to_tensor([0.3, -0.2])
    (steady,), (stopped,) = variables(np.ones(2)), variables(np.ones(2))
    one = make_optimizer(name, 0.1)
    one.build([steady])
    for _ in range(4):
        one.apply([gradient], [steady])
    first, second = make_optimizer(name, 0.1), make_optimizer(name, 0.1)
    first.build([stopped])
    for _ in range(2):
        first.apply([gradient], [stopped])
    second.build([stopped])
    carry_over(first, second)
    for _ in range(2):
        second.apply([gradient], [stopped])
    np.testing.assert_array_equal(steady.numpy(), stopped.numpy())


def test_discriminative_rates_follow_the_blocks(make_model, splits):
    """One SGD step: what moves is rate / 2.6 ** depth times the gradient."""
    flat, tapered = make_model(dropout=0), make_model(dropout=0)
    start = {v.path: v.numpy() for v in flat.variables}
    optimizer = keras.optimizers.SGD()
    one_step = {
        "unfreeze": "all",
        "learning_rate": 1e-2,
        "optimizer": optimizer,
    }
    whole = splits.train.__class__(
        splits.train.examples,
        splits.train.targets,
        splits.labels,
        batch_size=len(splits.train),
    )
    data = splits.__class__(whole, splits.validation)
    fit(flat, data, recipe=Stage(**one_step))
    fit(tapered, data, recipe=Stage(discriminative=2.6, **one_step))
    depths = {"predictions": 0, "b3_conv": 0, "b2_conv": 1, "b1_conv": 2}
    ends = {v.path: v.numpy() for v in flat.variables}
    for variable in tapered.variables:
        layer, _, name = variable.path.rpartition("/")
        if name == "kernel":
            full = ends[variable.path] - start[variable.path]
            part = variable.numpy() - start[variable.path]
            np.testing.assert_allclose(
                part, full / 2.6 ** depths[layer], rtol=2e-2, atol=1e-7
            )


def test_own_decay_of_an_optimizer_is_used():
    optimizer = make_optimizer(keras.optimizers.AdamW(weight_decay=0.5), 0.1)
    (kernel,) = variables(np.ones((2, 2)))
    optimizer.build([kernel])
    optimizer.apply([keras.ops.zeros((2, 2))], [kernel])
    np.testing.assert_allclose(kernel.numpy(), 0.95 * np.ones((2, 2)))


def test_unknown_optimizer_offers_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'adam"):
        make_optimizer("adamm", 0.1)


def scaled(rate=0.1, name="adam"):
    return with_loss_scale(make_optimizer(name, rate), "float16")


def test_only_float16_has_its_loss_scaled():
    optimizer = make_optimizer("adam", 0.1)
    assert with_loss_scale(optimizer, "float32") is optimizer
    assert with_loss_scale(optimizer, "bfloat16") is optimizer
    wrapped = with_loss_scale(optimizer, "float16")
    assert wrapped.inner_optimizer is optimizer
    restored = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(wrapped)
    )
    assert type(restored.inner_optimizer) is type(optimizer)
    with pytest.raises(ValueError, match="inside the LossScaleOptimizer"):
        make_optimizer(wrapped, 0.1)


def test_rates_and_decay_for_each_variable_under_a_scaled_loss():
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(3, 2)), random.normal(size=(6, 3, 2))
    (kernel,) = variables(start)
    optimizer = make_optimizer("adam", 0.01)
    optimizer.set_variables({kernel.path: 0.5}, {}, 0.3)
    optimizer = with_loss_scale(optimizer, "float16")
    optimizer.build([kernel])
    for gradient in gradients:
        gradient = optimizer.scale_loss(keras.ops.cast(gradient, "float32"))
        optimizer.apply([gradient], [kernel])
    expected = adam(gradients, start, 0.01, 0.5, decay=0.3)
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-5)
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    assert float(optimizer.inner_optimizer.learning_rate) == 0.5


def test_a_gradient_that_overflows_skips_the_step_and_halves_the_scale():
    (value,) = variables(np.ones(2))
    optimizer = scaled()
    optimizer.build([value])
    before = float(optimizer.dynamic_scale)
    optimizer.apply([keras.ops.convert_to_tensor([1.0, np.inf])], [value])
    np.testing.assert_array_equal(value.numpy(), 1.0)
    assert float(optimizer.dynamic_scale) == before / 2
    assert int(optimizer.iterations) == 0


@pytest.mark.parametrize("wrap", [(True, True), (True, False), (False, True)])
def test_the_scale_is_carried_with_moments_and_step_count(wrap):
    (value,) = variables(np.ones(2))
    old, new = (
        scaled() if is_scaled else make_optimizer("adam", 0.1)
        for is_scaled in wrap
    )
    old.build([value])
    for gradient in ([1.0, np.inf], [1.0, 1.0], [2.0, 1.0]):
        if wrap[0] or np.isfinite(gradient).all():
            old.apply([keras.ops.convert_to_tensor(gradient)], [value])
    new.build([value])
    assert carry_over(old, new) == 2
    assert int(new.iterations) == 2
    if all(wrap):
        assert float(new.dynamic_scale) == float(old.dynamic_scale) == 2**14
        assert int(new.step_counter) == int(old.step_counter) == 2


def test_first_steps_that_are_skipped_are_no_failure(splits, monkeypatch):
    """A scale of 2**40 overflows until it was halved some twenty times."""
    too_high = functools.partial(LossScale, initial_scale=2.0**40)
    monkeypatch.setattr(optimizers, "LossScale", too_high)
    with policy("float16"):
        model = TransferModel(tiny_backbone(), CLASSES)
    run = fit(model, splits, recipe=[Stage("all", 12, 1e-3), Stage(0, 1)])
    epoch = splits.train.steps
    skipped = 13 * epoch - int(model.optimizer.iterations)
    assert 2 * epoch < skipped < 10 * epoch
    assert np.isfinite(run.history["loss"]).all()
    assert float(model.optimizer.dynamic_scale) < 2**30
