"""`tltf check`, `evaluate`, `export`, `list` and `demo`."""

import json

import pytest

from tests.scripts.conftest import train_words
from tltf import datasets
from tltf.datasets import demo as digits
from tltf.scripts import list as listing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits"
    digits.write_folder(path, labels_per_class=4)
    (path / "train" / "5" / "broken.png").write_text("no picture")
    return path


def test_check_counts_classes_and_names_what_is_left_out(tltf, folder):
    code, out, _ = tltf("check", f"--data=folder:{folder}")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["class", "train", "validation", "test"] in rows
    assert ["5", "4", "10", "70"] in rows
    assert "Left out: train/5/broken.png is no picture" in out
    last = out.splitlines()[-1]
    assert f"tltf train --data=folder:{folder}" in last


def test_check_tells_a_backbones_blocks(tltf_json):
    code, facts = tltf_json(
        "check",
        "--data=demo:digits",
        "--backbone=demo:digits_0_4",
        "--weights=none",
    )
    assert code == 0
    assert facts["backbone"]["blocks"] == ["stem", "block1", "block2", "block3"]
    assert facts["counts"]["train"] == dict.fromkeys("56789", 10)


def test_evaluate_repeats_the_runs_own_figures(tltf_json, run_folder):
    code, facts = tltf_json("evaluate", f"--model_dir={run_folder}")
    trained = json.loads((run_folder / "report.json").read_text())
    assert code == 0 and facts["split"] == "test"
    assert facts["metrics"] == trained["metrics"]
    assert facts["report"].endswith("evaluation-1/report.html")


def test_evaluate_splits_the_runs_own_data_as_the_run_did(
    tltf, tltf_json, folder, tmp_path
):
    """By another seed, it would measure what the model was trained on."""
    data = f"folder:{folder / 'train'}"
    run = tmp_path / "run"
    words = train_words(run, data=data, labels_per_class=None, seed=5)
    assert tltf(*words)[0] == 0
    trained = json.loads((run / "report.json").read_text())
    code, facts = tltf_json("evaluate", f"--model_dir={run}", f"--data={data}")
    assert code == 0 and facts["split"] == "validation"
    # Other pictures would give another loss; rounding is not the matter.
    found, expected = (f["metrics"]["log_loss"] for f in (facts, trained))
    assert found["value"] == pytest.approx(expected["value"], rel=1e-5)
    # What the run has not seen is measured whole.
    code, facts = tltf_json(
        "evaluate", f"--model_dir={run}", f"--data=folder:{folder / 'test'}"
    )
    assert code == 0 and (facts["split"], facts["size"]) == ("all", 350)


def test_evaluate_on_a_folder_that_lacks_classes(
    tltf_json, run_folder, folder, tmp_path
):
    """The model's class numbers count, not those of the new folder."""
    few = tmp_path / "few"
    for name in ("6", "9"):
        (few / name).mkdir(parents=True)
        for file in sorted((folder / "test" / name).iterdir()):
            (few / name / file.name).write_bytes(file.read_bytes())
    words = [
        "evaluate",
        f"--model_dir={run_folder}",
        f"--data=folder:{few}",
        "--split=all",
        f"--output_dir={tmp_path / 'report'}",
    ]
    code, facts = tltf_json(*words)
    assert code == 0, facts
    assert facts["size"] == 140
    rows = json.loads((tmp_path / "report" / "report.json").read_text())
    support = {row["class"]: row["support"] for row in rows["per_class"]}
    assert support == {"5": 0, "6": 70, "7": 0, "8": 0, "9": 70}
    assert tltf_json(*words)[0] == 2


def test_evaluate_refuses_classes_that_the_model_does_not_know(
    tltf, run_folder, folder, tmp_path
):
    new = tmp_path / "new"
    (new / "1").mkdir(parents=True)
    (new / "5").mkdir()
    for file in sorted((folder / "test" / "5").iterdir())[:4]:
        for name in ("1", "5"):
            (new / name / file.name).write_bytes(file.read_bytes())
    code, _, err = tltf(
        "evaluate", f"--model_dir={run_folder}", f"--data=folder:{new}"
    )
    assert code == 3 and "['1']" in err, err


def test_export_says_how_to_serve(tltf, run_folder, tmp_path):
    words = ["export", f"--model_dir={run_folder}"]
    code, out, _ = tltf(*words, f"--output={tmp_path}/digits/1")
    assert code == 0 and (tmp_path / "digits" / "1" / "saved_model.pb").exists()
    last = out.splitlines()[-1]
    assert f"--model_base_path={tmp_path}/digits" in last
    assert "tensorflow_model_server" in last and "--model_name=digits" in last
    assert tltf(*words, f"--output={tmp_path}/digits/1")[0] == 2
    assert tltf(*words, f"--output={tmp_path}/digits/1", "--overwrite")[0] == 0


def test_list_names_everything(tltf, tltf_json):
    from tltf import backbones

    code, out, _ = tltf("list")
    assert code == 0 and "lp_ft" in out and "tfds" in out
    assert all(n.split(":")[0] in listing._DATA for n in datasets.names())
    assert set(backbones.sources()) <= set(listing._BACKBONES)
    code, facts = tltf_json("list", "backbones", "applications")
    assert code == 0 and "ResNet50" in facts["names"]
    code, out, _ = tltf("list", "backbones", "applications")
    assert "applications:ResNet50" in out.splitlines()


def test_demo_compares_arms(tltf, tmp_path, monkeypatch):
    from tltf import demo
    from tltf.core import recipes

    arms = {
        name: (backbone, None, recipes.linear_probe(1))
        for name, (backbone, _, _) in demo._ARMS.items()
    }
    monkeypatch.setattr(demo, "_ARMS", arms)
    code, out, err = tltf("demo", f"--model_dir={tmp_path}/demo", "--seeds=1")
    assert code == 0, err
    assert "transfer" in out and "scratch" in out and "control" in out
    assert out.splitlines()[-1].startswith(
        f"Report: {tmp_path}/demo/report.html."
    )
