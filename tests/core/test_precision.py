"""What computes in which precision, and what must not change with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.objective import Supervised
from tltf.core.optimizer import make_optimizer
from tltf.core.precision import (
    check_precision,
    in_precision,
    policy,
    precision_of,
    resolve,
)
from tltf.core.stage import Stage

HALVES = ("bfloat16", "float16")


def make_model(precision, seed=0, **backbone):
    keras.utils.set_random_seed(seed)
    with policy(precision):
        return TransferModel(tiny_backbone(**backbone), CLASSES)


@pytest.fixture
def devices(monkeypatch):
    """Gives a function that pretends to have GPUs, or a TPU."""

    def pretend(*capabilities, tpu=False):
        listed = {"GPU": capabilities, "TPU": ("TPU:0",) if tpu else ()}
        monkeypatch.setattr(tf.config, "get_visible_devices", listed.get)
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"compute_capability": gpu} if gpu else {},
        )

    return pretend


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([], "float32"),
        ([(6, 1)], "float32"),
        ([(7, 0)], "mixed_float16"),
        ([(7, 5)], "mixed_float16"),
        ([(8, 0)], "mixed_bfloat16"),
        ([(12, 0)], "mixed_bfloat16"),
        ([(9, 0), (7, 5)], "mixed_float16"),
        ([None], "float32"),
    ],
)
def test_auto_is_what_the_slowest_gpu_is_fast_in(
    devices, capabilities, expected
):
    devices(*capabilities)
    assert resolve("auto").name == resolve(None).name == expected
    assert resolve("float32").name == "float32"


def test_auto_on_a_tpu_is_bfloat16(devices):
    devices(tpu=True)
    assert resolve("auto").name == "mixed_bfloat16"


@pytest.mark.parametrize("name", ["mixed_float16", "bfloat16"])
def test_auto_respects_a_policy_that_the_user_set(devices, name):
    devices((8, 0))
    keras.config.set_dtype_policy(name)
    try:
        assert resolve("auto").name == name
        assert resolve("float32").name == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_global_policy_comes_back_after_an_error():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(ZeroDivisionError), policy("bfloat16"):
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            1 / 0  # noqa: B018
        assert keras.config.dtype_policy().name == "mixed_float16"
        with pytest.raises(ValueError, match="precision"), policy("double"):
            pass
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("bfloat", "Did you mean 'bfloat16'"),
        ("fp16", "'auto', 'float32', 'bfloat16', 'float16'"),
        ("mixed_float16", "Did you mean 'float16'"),
        (16, "Received: 16"),
    ],
)
def test_unknown_precisions_are_explained(wrong, said):
    with pytest.raises(ValueError, match=said):
        resolve(wrong)


@pytest.mark.parametrize("precision", HALVES)
def test_a_model_tells_its_own_precision_whatever_the_global_policy(precision):
    model = make_model(precision)
    assert keras.config.dtype_policy().name == "float32"
    assert model.precision == precision_of(model) == precision
    assert {v.dtype for v in model.weights} <= {"float32", "uint32"}
    with policy("bfloat16"):
        assert make_model("float32").precision == "float32"


@pytest.mark.parametrize("precision", HALVES)
def test_precision_survives_a_file_and_a_config(precision, tmp_path):
    model = make_model(precision)
    model.save(tmp_path / "model.keras")
    images = tiny_pictures(5)[0].astype("float32")
    wanted = model.predict(images, verbose=0)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    twin = TransferModel.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    for other in (loaded, twin):
        assert other.precision == precision
        assert other.dtype_policy.name == f"mixed_{precision}"
        np.testing.assert_array_equal(other.predict(images, verbose=0), wanted)
    assert wanted.dtype == "float32"


def test_an_own_compile_scales_the_loss_of_float16_alone():
    """Keras looks at the policy of the model, not of its layers."""
    for precision in ("float32", *HALVES):
        model = make_model(precision)
        model.compile("adam", "sparse_categorical_crossentropy")
        scales = isinstance(
            model.optimizer, keras.optimizers.LossScaleOptimizer
        )
        assert scales == (precision == "float16")
        assert not model.jit_compile
        figures = model.fit(*tiny_pictures(), verbose=0).history
        assert np.isfinite(figures["loss"]).all()


@pytest.mark.parametrize("precision", ["float32", *HALVES])
def test_xla_is_not_forced_on_cpu(precision):
    """Fact 28: it made MobileNetV2 twelve times slower."""
    objective = Supervised(make_model(precision), Stage())
    objective.prepare(make_optimizer("adam", 1e-3))
    assert not objective.jit_compile


@pytest.mark.parametrize("precision", HALVES)
def test_training_moves_float32_weights_nearly_as_in_float32(precision, splits):
    recipe = [Stage(0, 2, 1e-2), Stage("all", 2, 1e-3, discriminative=2.0)]
    models = [make_model(p, dropout=0) for p in ("float32", precision)]
    start = np.concatenate([w.ravel() for w in models[0].get_weights()])
    runs = [fit(model, splits, recipe=recipe) for model in models]
    assert runs[1].stages[1].carried == 2 * runs[1].stages[0].learned
    losses = [run.history["loss"] for run in runs]
    assert np.isfinite(losses).all()
    np.testing.assert_allclose(*losses, rtol=2**-8)
    ends = [
        np.concatenate([w.ravel() for w in model.get_weights()])
        for model in models
    ]
    moved, apart = np.linalg.norm(ends - start, axis=1), ends[1] - ends[0]
    assert np.linalg.norm(apart) < 0.25 * moved.min()


def test_a_callback_sets_the_rate_of_a_float16_model(splits):
    rates = [3e-3, 2e-3]
    callback = keras.callbacks.LearningRateScheduler(lambda i, _: rates[i])
    model = make_model("float16")
    run = fit(model, splits, recipe=Stage(1, 2), callbacks=[callback])
    np.testing.assert_allclose(run.history["learning_rate"], rates)


@pytest.mark.parametrize(("precision", "to"), [HALVES, HALVES[::-1]])
def test_a_copy_in_another_precision_has_names_and_weights(precision, to):
    model = make_model("float32")
    assert in_precision(model, "auto") is model
    assert in_precision(model, "float32") is model
    half = in_precision(in_precision(model, precision), to)
    assert precision_of(half) == to
    assert [x.name for x in half.layers] == [x.name for x in model.layers]
    assert half.get_layer("stem_scale").compute_dtype == "float32"
    for ours, theirs in zip(half.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = in_precision(half, "float32")
    images = tiny_pictures(5)[0].astype("float32")
    np.testing.assert_array_equal(again(images), model(images))
    np.testing.assert_allclose(half(images), model(images), atol=0.02)
    assert model.precision == "float32"


def test_layers_inside_layers_are_copied_in_the_precision_too():
    tokens = keras.Input((4, 3))
    recurrent = keras.layers.Bidirectional(keras.layers.GRU(2))
    half = in_precision(keras.Model(tokens, recurrent(tokens)), "bfloat16")
    assert half.layers[1].forward_layer.compute_dtype == "bfloat16"


def test_what_cannot_be_changed_is_said():
    model = make_model("float32")
    for fine in (None, "auto", "float32"):
        check_precision(model, fine, "mine")
    with pytest.raises(ValueError, match=r"mine is float32.*mixed_bfloat16"):
        check_precision(model, "bfloat16", "mine")
