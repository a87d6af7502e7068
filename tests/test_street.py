"""The main street, walked from end to end."""

import json

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

import tltf
from tests.conftest import CLASSES, tiny_pictures
from tests.exporters.test_savedmodel import ask
from tltf.core.audit import Audit
from tltf.errors import AuditError


@pytest.fixture
def folder(tmp_path):
    """A folder of JPEGs, eight a class."""
    pictures, labels = tiny_pictures(24, size=48)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = tmp_path / "pictures" / CLASSES[label] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=90)
    return tmp_path / "pictures"


def statistics(model):
    return {
        layer.name: (layer.moving_mean.numpy(), layer.moving_variance.numpy())
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }


def as_if_pretrained(model):
    """Gives batch norm the statistics of pictures, as pretraining does.

    At their initial ones, a random MobileNetV2's signals vanish on the way.
    """
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in norms:
        layer.trainable, layer.momentum = True, 0.0
    model(tiny_pictures(24, size=32)[0].astype("float32"), training=True)
    for layer in norms:
        layer.momentum = 0.99
    return model


@pytest.fixture
def mobile_net():
    keras.utils.set_random_seed(0)
    backbone = tltf.backbones.load(
        "applications:MobileNetV2", weights=None, image_size=32
    )
    return as_if_pretrained(tltf.TransferModel(backbone, CLASSES))


def mobile_net_splits():
    pictures = tiny_pictures(24, size=32)
    return tltf.Splits.from_arrays(pictures, classes=CLASSES, batch_size=8)


def test_all_52_statistics_stay_still_end_to_end(mobile_net):
    before = statistics(mobile_net)
    assert len(before) == 52
    kernels = {
        v.path: v.numpy()
        for v in mobile_net.variables
        if v.path.endswith("kernel")
    }
    tltf.fit(
        mobile_net,
        mobile_net_splits(),
        recipe=tltf.recipes.fine_tune(2, 1e-3),
    )
    still = [
        name
        for name, values in statistics(mobile_net).items()
        if all(map(np.array_equal, before[name], values))
    ]
    assert len(still) == 52
    for variable in mobile_net.variables:
        if variable.path in kernels:
            assert not np.array_equal(variable, kernels[variable.path])


def test_the_trap_of_the_52_statistics_is_caught(mobile_net):
    """What the Keras guide advises moves all of them; the audit says so."""
    before = statistics(mobile_net)
    for layer in mobile_net.layers:
        layer.trainable = True
    mobile_net.compile("sgd", "sparse_categorical_crossentropy")
    pictures, labels = tiny_pictures(24, size=32)
    with (
        pytest.raises(AuditError, match=r"'[\w/]*(BN|bn)[\w/]*/beta'.*moved"),
        Audit(mobile_net, tltf.Stage("all")),
    ):
        mobile_net.fit(pictures, labels, verbose=0)
    moved = [
        name
        for name, values in statistics(mobile_net).items()
        if not all(map(np.array_equal, before[name], values))
    ]
    assert len(moved) == 52


def test_a_run_folder_is_complete_and_its_export_agrees(folder, tmp_path):
    backbone = "applications:MobileNetV2"
    outcome = tltf.transfer(
        f"folder:{folder}",
        backbone,
        model_dir=tmp_path / "run",
        recipe="fine_tune",
        recipe_options={"epochs": 2, "batch_norm": "train"},
        data_options={"batch_size": 8},
        backbone_options={"weights": None, "image_size": 32},
    )
    names = {path.name for path in outcome.model_dir.iterdir()}
    assert names == {
        "settings.yaml",
        "environment.json",
        "labels.json",
        "split.json",
        "history.csv",
        ".lock",
        "best.keras",
        "last.keras",
        "report.html",
        "report.json",
        "export",
        "status.json",
    }
    status = json.loads((outcome.model_dir / "status.json").read_text())
    assert status["state"] == "finished"
    settings = yaml.safe_load((outcome.model_dir / "settings.yaml").read_text())
    assert settings["weights"] == "none" and settings["epochs"] == 2
    files = sorted(folder.rglob("*.jpg"))
    raw = [path.read_bytes() for path in files]
    found = ask(outcome.model_dir / "export" / "1", raw, tmp_path)
    inputs = np.stack([outcome.model.preprocess(item) for item in raw])
    expected = outcome.model.predict(inputs, verbose=0)
    assert len(files) == 24
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    with pytest.raises(FileExistsError, match="finished run"):
        tltf.transfer(f"folder:{folder}", backbone, model_dir=tmp_path / "run")


def test_a_failed_run_says_so_and_may_be_run_again(folder, tmp_path):
    with pytest.raises(ValueError, match="block name"):
        tltf.transfer(
            f"folder:{folder}",
            "applications:MobileNetV2",
            model_dir=tmp_path / "run",
            recipe_options={"unfreeze": "nothing"},
            backbone_options={"weights": None, "image_size": 32},
        )
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed" and "block name" in status["error"]


def test_signals_that_vanish_are_an_error_with_a_hint():
    backbone = tltf.backbones.load(
        "applications:MobileNetV2", weights=None, image_size=32
    )
    model = tltf.TransferModel(backbone, CLASSES)
    with pytest.raises(AuditError, match=r"kernel'.*batch_norm='train'"):
        tltf.fit(model, mobile_net_splits(), recipe="fine_tune")


def test_image_classifier_for_a_loop_of_ones_own():
    model = tltf.image_classifier(
        "applications:MobileNetV2",
        classes=3,
        weights=None,
        image_size=32,
        unfreeze=1,
    )
    assert isinstance(model, keras.Model)
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(*tiny_pictures(24, size=32), verbose=0)
    assert len(history.history["loss"]) == 1
