"""Every trap is planted, and the audit must name the variable."""

import keras
import numpy as np
import pytest

from tests.conftest import CLASSES, tiny_pictures
from tltf.core import audit as audits
from tltf.core.audit import Audit
from tltf.core.backbone import Backbone, Block
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.stage import Stage
from tltf.errors import AuditError


def train(model, optimizer="sgd"):
    """Plain Keras, as people write it."""
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(*tiny_pictures(), verbose=0)


def test_an_honest_loop_passes(make_model):
    model = make_model()
    model.unfreeze(2)
    stage = Stage(unfreeze=2)
    with Audit(model, stage) as audit:
        train(model)
    assert audit.silent == ()


def test_expectation_does_not_read_the_trainable_flags(make_model):
    model = make_model()
    stage = Stage(unfreeze=1)
    before = audits.expect(model, stage)
    model.trainable = False
    assert audits.expect(model, stage) == before
    assert before.learns == {
        "b3_conv/kernel",
        "b3_conv/bias",
        "predictions/kernel",
        "predictions/bias",
    }


def test_trap_training_false_is_overridden_by_fit():
    """Fact 1: batch norm of a base called with `training=False` moves."""
    image = keras.Input((12, 12, 3), name="image")
    base = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
        ],
        name="base",
    )
    network = keras.Model(image, base(image, training=False))
    backbone = Backbone(network, (Block("base", ("base",)),), "test:nested")
    model = TransferModel(backbone, CLASSES)
    base.trainable = True
    with (
        pytest.raises(AuditError, match=r"'[^']*bn/(beta|gamma|moving)"),
        Audit(model, Stage(unfreeze="all")),
    ):
        train(model)


def test_trap_unfreezing_without_compile(make_model):
    """Fact 2: what trains is fixed when the step is traced."""
    model = make_model()
    model.freeze()
    train(model)
    model.unfreeze(1)
    with (
        pytest.raises(AuditError, match="'b3_conv/bias', 'b3_conv/kernel'"),
        Audit(model, Stage(unfreeze=1)),
    ):
        model.fit(*tiny_pictures(), verbose=0)


def test_trap_freezing_without_compile(make_model):
    """Fact 2, the other way: freezing does not stop anything."""
    model = make_model()
    model.unfreeze(1)
    train(model)
    model.freeze()
    with (
        pytest.raises(AuditError, match=r"'b3_conv/bias'.* is frozen"),
        Audit(model, Stage(unfreeze=0)),
    ):
        model.fit(*tiny_pictures(), verbose=0)


def test_trap_flag_of_the_whole_model_does_nothing(make_model):
    """Fact 3: `trainable = True` where it is True already."""
    model = make_model()
    model.freeze()
    model.trainable = True
    with (
        pytest.raises(AuditError, match="'b1_conv/bias'"),
        Audit(model, Stage(unfreeze="all")),
    ):
        train(model)


def test_trap_flag_of_the_whole_model_wipes_a_partial_freeze(make_model):
    """Fact 3: False, then True, opens everything."""
    model = make_model()
    model.unfreeze(1)
    model.trainable = False
    model.trainable = True
    with (
        pytest.raises(AuditError, match=r"'b1_bn/beta'.* moved"),
        Audit(model, Stage(unfreeze=1)),
    ):
        train(model)


def test_trap_statistics_of_open_batch_norm(make_model):
    """Facts 1 and 10: an unfrozen block's statistics move with it."""
    model = make_model()
    model.unfreeze(1, batch_norm="affine")
    with (
        pytest.raises(AuditError, match="'b3_bn/moving_mean'"),
        Audit(model, Stage(unfreeze=1, batch_norm="affine")),
    ):
        train(model)


def test_trap_a_callback_that_thaws(make_model, splits):
    """Facts 2 and 5: what a callback thaws is not what was compiled."""

    class Thaw(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.unfreeze("all")

    with pytest.raises(AuditError, match=r"keep 'b1_conv/bias'.*frozen"):
        fit(make_model(), splits, recipe=Stage(), callbacks=[Thaw()])


def test_trap_lora_on_a_frozen_layer(make_model):
    """Fact 7: LoRA on a frozen layer trains nothing."""
    model = make_model()
    model.unfreeze(1)
    dense = model.get_layer("predictions")
    dense.trainable = False
    dense.enable_lora(2)
    with (
        pytest.raises(AuditError, match="'predictions/lora_kernel_a'"),
        Audit(model, Stage(unfreeze=1)),
    ):
        train(model)


def test_trap_a_variable_changed_behind_the_loop(make_model, splits):
    class Meddle(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.get_layer("b1_conv").bias.assign_add(np.ones(4))

    with pytest.raises(AuditError, match=r"'head'.*'b1_conv/bias' moved"):
        fit(make_model(), splits, recipe=Stage(), callbacks=[Meddle()])


def test_trap_no_gradient_reaches_a_block(splits):
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.Rescaling(0.0, name="nothing")(x)
    network = keras.Model(image, x)
    backbone = Backbone(
        network, (Block("base", ("conv", "nothing")),), "test:dead"
    )
    with pytest.raises(AuditError, match="no gradient reaches"):
        fit(TransferModel(backbone, CLASSES), splits, recipe=Stage("all"))


def test_the_plan_is_checked_before_a_step_is_taken(make_model):
    model = make_model()
    audit = Audit(model, Stage(unfreeze=1))
    model.freeze()
    with pytest.raises(AuditError, match=r"should train 'b3_conv/bias'"):
        audit.check_plan(model.trainable_variables)
    model.unfreeze(2)
    with pytest.raises(AuditError, match=r"keep 'b2_conv/bias'.*frozen"):
        audit.check_plan(model.trainable_variables)


def test_a_silent_bias_is_noted_and_a_silent_kernel_is_not():
    """A key's bias adds the same to every score: softmax forgets it."""
    tokens = keras.Input((6, 3), name="image")
    x = keras.layers.MultiHeadAttention(1, 4, name="attention")(tokens, tokens)
    backbone = Backbone(
        keras.Model(tokens, x), (Block("base", ("attention",)),), "test:mha"
    )
    model = TransferModel(backbone, CLASSES)
    model.unfreeze("all")
    random = np.random.default_rng(0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    data = random.normal(size=(32, 6, 3)), np.arange(32) % 3
    with Audit(model, Stage("all", optimizer="sgd")) as audit:
        model.fit(*data, verbose=0)
    assert set(audit.silent) <= {"attention/key/bias"}
