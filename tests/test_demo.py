"""The demo is real transfer, and its controls hold."""

import json

import keras
import pytest

from tltf import demo


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return demo.run(tmp_path_factory.mktemp("runs") / "demo")


def ends(done):
    return {row["arm"]: row["end"]["value"] for row in done.rows}


def test_transfer_is_far_ahead_of_scratch(done):
    found = ends(done)
    assert found["transfer"] - found["scratch"] >= 0.15
    verdicts = {row["arm"]: row["verdict"] for row in done.rows}
    assert verdicts["transfer"] == "helps"


def test_labels_that_say_nothing_teach_nothing_that_helps(done):
    found = ends(done)
    assert abs(found["control"] - found["scratch"]) <= 0.05


def test_arms_take_the_same_steps_with_the_same_data(done):
    epochs = {
        arm: sum(stage.epochs for stage in recipe)
        for arm, (_, _, recipe) in demo._ARMS.items()
    }
    assert len(set(epochs.values())) == 1
    bands = done.report.comparison["curves"]
    assert {len(band["value"]) for band in bands.values()} == {30}


def test_it_leaves_a_folder_with_a_report_to_open(done):
    names = {path.name for path in done.model_dir.iterdir()}
    assert {"report.html", "history.csv", "last.keras", "export"} <= names
    # The demo measures on the test digits: nothing may be chosen by them.
    assert "best.keras" not in names
    text = done.page.read_text()
    assert "Did transfer help?" in text and "<svg" in text
    report = json.loads((done.model_dir / "report.json").read_text())
    assert len(report["comparison"]["rows"]) == 3
    model = keras.models.load_model(done.model_dir / "last.keras")
    assert model.classes == ("5", "6", "7", "8", "9")


def test_the_summary_fits_a_terminal(done):
    table = done.summary().split("\n\n")[0].splitlines()
    assert len(table) == 4
    assert max(map(len, table)) <= 80


def test_wrong_arguments_are_explained(tmp_path):
    with pytest.raises(ValueError, match="seeds"):
        demo.run(tmp_path, seeds=0)
