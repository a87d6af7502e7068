"""Facts about Keras 3.15 that tltf rests on, or shields its users from.

When one of these fails, Keras has changed, and what tltf does about it can
change too. The traps of freezing are planted in `core/test_audit.py`; data,
strategies, files and exports have their facts where they are tested.
"""

import keras
import numpy as np
import pytest
import setuptools

from tests.conftest import tiny_pictures
from tltf.core.fit import fit
from tltf.core.objective import Supervised
from tltf.core.optimizer import make_optimizer
from tltf.core.schedule import Schedule
from tltf.core.stage import Stage


def frozen_batch_norm_moves(call):
    """Fits a head on a base that `call` runs; whether the base moved."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    norm = keras.layers.BatchNormalization()
    base = keras.Sequential([keras.layers.Conv2D(4, 3), norm])
    x = call(base, image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = norm.moving_mean.numpy()
    model.fit(*tiny_pictures(), verbose=0)
    return not np.array_equal(before, norm.moving_mean)


def test_wired_training_false_is_overridden_by_fit():
    """Fact 1, keras issue 20285: so tltf does not lean on it."""
    assert frozen_batch_norm_moves(lambda base, x: base(x, training=False))


def test_training_false_inside_a_layers_call_is_obeyed():
    """Fact 1: so the frozen prefix is run that way."""

    class Frozen(keras.layers.Layer):
        def __init__(self, base):
            super().__init__()
            self.base = base

        def call(self, inputs):
            return self.base(inputs, training=False)

    assert not frozen_batch_norm_moves(lambda base, x: Frozen(base)(x))


def test_the_prefix_runs_in_inference_mode_and_the_suffix_does_not(make_model):
    model = make_model(dropout=0.5)
    objective = Supervised(model, Stage(unfreeze=1))
    images = tiny_pictures(4)[0].astype("float32")
    features = objective.prefix(images, training=False)
    for _ in range(3):
        objective(images, training=True)
    again = objective.prefix(images, training=False)
    np.testing.assert_array_equal(features, again)
    assert not np.array_equal(
        objective(images, training=True), objective(images, training=True)
    )


def test_an_optimizer_cannot_be_used_for_other_variables():
    """Fact 4: so each stage has a new one that takes over the old slots."""
    first, second = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = keras.optimizers.Adam()
    optimizer.apply([keras.ops.ones(1)], [first])
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply([keras.ops.ones(1)], [second])


def test_scaled_gradients_change_nothing_under_adam():
    """Fact 9: so the rate is scaled, see `core/test_optimizer.py`."""
    ends = []
    for scale in (1.0, 1e-3):
        variable = keras.Variable([1.0])
        optimizer = keras.optimizers.Adam(0.1, epsilon=1e-12)
        optimizer.apply([keras.ops.ones(1) * scale], [variable])
        ends.append(variable.numpy())
    np.testing.assert_allclose(*ends, rtol=1e-6)


def test_xla_is_not_forced_on_cpu(make_model):
    """Fact 28: it made MobileNetV2 twelve times slower."""
    objective = Supervised(make_model(), Stage())
    objective.prepare(make_optimizer("adam", Schedule(1e-3, 1)))
    assert not objective.jit_compile


def test_float16_has_its_loss_scaled_and_moments_carried(splits):
    """Fact 8: mixed precision with rates for each variable."""
    from tests.conftest import CLASSES, tiny_backbone
    from tltf.core.model import TransferModel

    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = TransferModel(tiny_backbone(), CLASSES)
        run = fit(
            model,
            splits,
            recipe=[Stage(1, 2), Stage(2, 2, discriminative=2.0)],
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert run.stages[1].carried == 2 * run.stages[0].learned
    assert np.isfinite(run.history["loss"]).all()


def test_only_tltf_is_packaged():
    """Fact 30: without `include`, tests and examples are installed."""
    import configparser
    import pathlib

    root = pathlib.Path(__file__).parents[1]
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg")
    include = settings["options.packages.find"]["include"].split()
    found = setuptools.find_packages(str(root), include=include)
    assert found and {name.split(".")[0] for name in found} == {"tltf"}
    assert {f"tltf.{wing}" for wing in ("core", "datasets", "scripts")} <= set(
        found
    )
