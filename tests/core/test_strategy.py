"""On two logical devices as on one, in a process of its own."""

import json
import pathlib
import subprocess
import sys

import pytest

from tltf.core import strategy

PROGRAM = """
import json
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
device = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [device, device])

import keras
import numpy as np
from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf.core import recipes
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.splits import Splits
from tltf.core.stage import Stage

# 45 and 9 examples in batches of 8: the last ones are uneven.
splits = Splits.from_arrays(tiny_pictures(54), classes=CLASSES, batch_size=8)
assert len(splits.train) % 8 and len(splits.validation) % 8
cases = {
    "linear_probe": recipes.linear_probe(2),
    "fine_tune": recipes.fine_tune(2, 1e-3, class_weights="balanced"),
    "lp_ft": recipes.lp_ft(1, 2, learning_rate=1e-3),
    "gradual_unfreezing": recipes.gradual_unfreezing(2),
    "affine": Stage("all", 2, 1e-3, batch_norm="affine", weight_decay=0.1),
    "synchronized": Stage("all", 2, 1e-2, optimizer="sgd", batch_norm="train"),
    "augmented": Stage("all", 2, 1e-3, augment="light"),
}
found = {}
for name, recipe in cases.items():
    models, runs = [], []
    for where in ("auto", "mirrored"):
        keras.utils.set_random_seed(0)
        models.append(TransferModel(tiny_backbone(dropout=0), CLASSES))
        runs.append(fit(models[-1], splits, recipe=recipe, strategy=where))
    weights = [np.concatenate([w.ravel() for w in m.get_weights()])
               for m in models]
    figures = [
        np.concatenate([v for k, v in sorted(r.history.items())
                        if k != "seconds"]) for r in runs
    ]
    found[name] = [
        float(np.abs(weights[0] - weights[1]).max()),
        float(np.abs(figures[0] - figures[1]).max()),
    ]
print(json.dumps(found))
"""


def run(program: str):
    """Runs it as a process of its own, and reads the last line it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_recipe_on_two_devices_equals_one():
    found = run(PROGRAM)
    assert len(found) == 7
    for name, (weights, figures) in found.items():
        assert weights < 1e-5, (name, weights)
        assert figures < 1e-5, (name, figures)


OVERFLOW = """
import json
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
device = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [device, device])

import keras
import numpy as np
from tltf.core.optimizer import make_optimizer, with_loss_scale

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
found = []
for bad in (0, 1):
    with mirrored.scope():
        value = keras.Variable(np.ones(2, "float32"))
        optimizer = with_loss_scale(make_optimizer("sgd", 0.1), "float16")
        optimizer.build([value])
    gradients = mirrored.experimental_distribute_values_from_function(
        lambda replica: tf.constant(
            [1.0, np.inf if replica.replica_id_in_sync_group == bad else 1.0]
        )
    )
    step = lambda gradient: optimizer.apply([gradient], [value])
    tf.function(lambda: mirrored.run(step, (gradients,)))()
    scale = keras.ops.convert_to_numpy(optimizer.dynamic_scale)
    found.append([*keras.ops.convert_to_numpy(value).tolist(), float(scale)])
print(json.dumps(found))
"""


def test_an_overflow_on_any_device_skips_the_step_on_all():
    """Keras 3.15 asks the first device alone, and weights become infinite."""
    assert run(OVERFLOW) == [[1.0, 1.0, 2.0**14]] * 2


def test_names():
    assert strategy.resolve(None).num_replicas_in_sync == 1
    assert strategy.resolve("auto").num_replicas_in_sync == 1
    one = strategy.resolve("one_device:CPU:0")
    assert type(one).__name__.startswith("OneDevice")
    assert strategy.resolve(one) is one


def test_wrong_names_are_explained():
    with pytest.raises(ValueError, match="Did you mean 'mirrored'"):
        strategy.resolve("miror")
    with pytest.raises(ValueError, match=r"not here.*CPU:0"):
        strategy.resolve("one_device:GPU:7")
