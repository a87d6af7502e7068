"""Cached on two logical devices as without a cache on one."""

import json
import pathlib
import subprocess
import sys

PROGRAM = """
import json
import tempfile
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
SGD = {"optimizer": "sgd"}
recipe = (Stage(0, 2, 1e-2, class_weights="balanced", **SGD),
          Stage(1, 2, 1e-2, **SGD))


def trained(recipe, **settings):
    keras.utils.set_random_seed(0)
    model = TransferModel(tiny_backbone(dropout=0), CLASSES)
    run = fit(model, splits, recipe=recipe, **settings)
    figures = [v for k, v in sorted(run.history.items()) if k != "seconds"]
    weights = np.concatenate([w.ravel() for w in model.get_weights()])
    return np.concatenate(figures), weights, run


plain, found = trained(recipe, cache="none"), {}
for place in ("memory", "disk"):
    cached = trained(recipe, cache=place, cache_dir=tempfile.mkdtemp(),
                     strategy="mirrored")
    found[place] = [
        [stage.cached for stage in cached[2].stages],
        cached[2].stages[0].notes[0],
        float(np.abs(plain[0] - cached[0]).max()),
        float(np.abs(plain[1] - cached[1]).max()),
    ]
one, two = (trained(recipes.linear_probe(), strategy=strategy)
            for strategy in ("auto", "mirrored"))
found["solved"] = [float(np.abs(a - b).max()) for a, b in zip(one[:2], two)]
print(json.dumps(found))
"""


def test_cached_on_two_devices_equals_uncached_on_one():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for place in ("memory", "disk"):
        cached, note, figures, weights = found[place]
        assert cached == [True, True]
        assert ("in memory" if place == "memory" else "on disk") in note
        assert figures < 1e-5 and weights < 1e-5, (place, figures, weights)
    # Of a head that is solved on features that differ by rounding.
    assert max(found["solved"]) < 1e-3
