import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tltf.core.fit import fit
from tltf.core.run_folder import RunFolder
from tltf.core.stage import Stage


def test_a_failed_write_costs_nothing(tmp_path, make_model, monkeypatch):
    """Fact 13: Keras' own checkpoint destroys the good file."""
    folder = RunFolder(tmp_path)
    model = make_model()
    folder.save_model(model, "best.keras")
    good = (tmp_path / "best.keras").read_bytes()

    def half(path, **_):
        path.write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(model, "save", half)
    with pytest.raises(OSError, match="No space"):
        folder.save_model(model, "best.keras")
    assert (tmp_path / "best.keras").read_bytes() == good
    assert [path.name for path in tmp_path.iterdir()] == ["best.keras"]


def test_a_model_is_saved_without_its_optimizer(tmp_path, make_model, splits):
    model = make_model()
    fit(model, splits, recipe=Stage(1, 1), model_dir=tmp_path)
    optimizer = model.optimizer
    RunFolder(tmp_path).save_model(model, "again.keras")
    assert optimizer.variables and model.optimizer is optimizer
    for name in ("best.keras", "last.keras", "again.keras"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content) as file:
            assert "layers" in file and "optimizer" not in file
        loaded = keras.models.load_model(tmp_path / name)
        for a, b in zip(loaded.weights, model.weights, strict=True):
            assert name == "best.keras" or np.array_equal(a, b)


def test_status_is_true_while_it_runs_and_when_it_ends(tmp_path):
    folder = RunFolder(tmp_path)

    def state():
        return json.loads((tmp_path / "status.json").read_text())["state"]

    with folder.status():
        assert state() == "running"
    assert state() == "finished" and folder.is_finished
    with pytest.raises(KeyboardInterrupt), folder.status():
        raise KeyboardInterrupt
    assert state() == "interrupted" and not folder.is_finished
    with pytest.raises(ValueError, match="wrong"), folder.status():
        raise ValueError("wrong")
    assert state() == "failed"
    assert "ValueError: wrong" in (tmp_path / "status.json").read_text()


def test_a_finished_run_is_kept_unless_asked(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.status():
        folder.write_json("labels.json", {})
    (tmp_path / "my notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite"):
        RunFolder(tmp_path).claim()
    RunFolder(tmp_path).claim(overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["my notes.txt"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_no_run_made_is_left_alone(tmp_path, overwrite):
    (tmp_path / "report.html").write_text("precious")
    with pytest.raises(FileExistsError, match="no run has left"):
        RunFolder(tmp_path).claim(overwrite)
    assert (tmp_path / "report.html").read_text() == "precious"
