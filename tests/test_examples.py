"""Every example runs, at tiny size, and is short."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow_datasets as tfds

import tltf
from tests.test_street import folder  # noqa: F401
from tests.test_text_street import preset, table  # noqa: F401

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem
)
def test_an_example_is_short_and_tested(path):
    assert len(path.read_text().splitlines()) < 60
    assert f'"{path.stem}"' in pathlib.Path(__file__).read_text()


def test_vgg16(folder, tmp_path):  # noqa: F811
    run = load("vgg16_two_periods").main(
        folder, tmp_path / "run", weights=None, image_size=32, epochs=(1, 1)
    )
    assert [result.blocks for result in run.stages] == [
        ("head",),
        ("block5", "head"),
    ]
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "export" / "1" / "saved_model.pb").exists()


def test_resnet50(tmp_path):
    with tfds.testing.mock_data(num_examples=20):
        run = load("resnet50_tfds").main(
            "tf_flowers",
            tmp_path / "run",
            weights=None,
            image_size=32,
            recipe=tltf.recipes.linear_probe(1),
        )
    assert run.model.origin["backbone"] == "applications:ResNet50"
    assert len(run.model.classes) == 5


def test_bert(preset, table, tmp_path):  # noqa: F811
    run = load("bert_sentiment").main(
        table,
        tmp_path / "run",
        backbone=f"hub:{preset}",
        sequence_length=16,
        recipe=tltf.recipes.fine_tune(20, 1e-2),
    )
    assert run.model.classes == ("bad", "good")
    assert run.history["val_accuracy"][-1] == 1.0


def test_own_keras_model(capsys):
    run = load("own_keras_model").main(epochs=1)
    assert [len(result.blocks) for result in run.stages] == [1, 2, 3]
    assert "high, head trained" in capsys.readouterr().out


def test_train_script(folder, tmp_path):  # noqa: F811
    done = subprocess.run(
        [
            sys.executable,
            str((EXAMPLES / "train_script").with_suffix(".py")),
            f"--data=folder:{folder}",
            f"--model_dir={tmp_path / 'run'}",
            "--backbone=demo:digits_0_4",
            "--weights=none",
            "--image_size=40",
            "--epochs=1",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "finished"


def test_several_heads(folder, tmp_path, capsys):  # noqa: F811
    results = load("several_heads").main(
        folder, tmp_path / "features", backbone="demo:digits_0_4"
    )
    assert len(results) == 4
    found = capsys.readouterr().out
    # The second and third find the features of the first; the last needs
    # those below the last block too.
    assert found.count("kept from an earlier run") == 2
    assert "was solved by L-BFGS" in found
