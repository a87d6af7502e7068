"""`tltf train` writes a run that its own settings repeat."""

import csv
import json

import keras
import pytest
import yaml

from tests.scripts.conftest import start, train_words


def history(folder):
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def settings_of(folder):
    return yaml.safe_load((folder / "settings.yaml").read_text())


def test_settings_repeat_the_run(tltf, tmp_path):
    first, again, other = (tmp_path / name for name in "abc")
    words = train_words(
        first, recipe="lp_ft", epochs=1, head_epochs=2, augment="light", seed=7
    )
    assert tltf(*words)[0] == 0
    settings = f"--config_file={first}/settings.yaml"
    assert tltf("train", settings, f"--model_dir={again}")[0] == 0
    assert history(again) == history(first) and len(history(first)) == 3
    assert settings_of(again) == settings_of(first)
    typed = ["--seed=8", "--recipe=linear_probe", "--epochs=2"]
    typed.append("--solver=steps")
    code, _, err = tltf("train", settings, f"--model_dir={other}", *typed)
    assert code == 0, err
    assert len(history(other)) == 2 and history(other)[0] != history(first)[0]
    written = settings_of(other)
    assert (written["seed"], written["epochs"]) == (8, 2)


def test_the_precision_that_the_model_has_is_written_down(tltf, tmp_path):
    first, again = tmp_path / "a", tmp_path / "b"
    code, _, err = tltf(*train_words(first, precision="bfloat16"))
    assert code == 0, err
    settings = f"--config_file={first}/settings.yaml"
    assert tltf("train", settings, f"--model_dir={again}")[0] == 0
    for folder in (first, again):
        model = keras.models.load_model(folder / "last.keras")
        assert model.precision == "bfloat16"
        assert settings_of(folder)["precision"] == "bfloat16"
        for name in ("environment.json", "report.json"):
            facts = json.loads((folder / name).read_text())
            assert facts.get("facts", facts)["precision"] == "bfloat16"
    assert history(again) == history(first)


def test_auto_is_written_down_as_what_it_was(run_folder):
    assert settings_of(run_folder)["precision"] == "float32"
    environment = json.loads((run_folder / "environment.json").read_text())
    assert environment["precision"] == "float32"


def test_a_wrong_precision_is_explained(tltf, tmp_path):
    words = train_words(tmp_path / "run", precision="bfloat")
    code, _, err = tltf(*words)
    assert code == 2 and "Did you mean 'bfloat16'" in err


def test_another_recipe_does_not_inherit_the_files_arguments(tltf, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("recipe: lp_ft\nhead_epochs: 9\nepochs: 5\n")
    words = train_words(tmp_path / "run", epochs=None)
    code, _, err = tltf(*words, f"--config_file={file}", "--epochs=1")
    assert code == 0, err
    assert len(history(tmp_path / "run")) == 1


def test_the_last_line_says_where_and_what_next(tltf, tmp_path):
    code, out, _ = tltf(*train_words(tmp_path / "run", epochs=2))
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[:3] for line in lines[:2]] == [
        ["head", "1/2", "train"],
        ["head", "2/2", "train"],
    ]
    assert max(map(len, lines[:2])) <= 80
    assert lines[-1] == (
        f"Report: {tmp_path}/run/report.html. Next: tltf predict"
        f" --model_dir={tmp_path}/run picture.jpg"
    )
    assert "\x1b" not in out


def test_json_is_one_object_alone_on_stdout(tltf_json, tmp_path):
    code, facts = tltf_json(*train_words(tmp_path / "run"))
    assert code == 0
    assert facts["report"] == str(tmp_path / "run" / "report.html")
    assert 0 <= facts["metrics"]["accuracy"]["value"] <= 1


@pytest.mark.parametrize("argv", [["train"], ["check", "--data=folder:/no"]])
def test_json_tells_errors_too(tltf_json, argv):
    code, facts = tltf_json(*argv)
    assert code in (2, 3) and facts["exit_code"] == code and facts["error"]


def test_a_terminal_sees_our_lines_only(tmp_path):
    """TensorFlow's own lines are written by C++, so a process must tell."""
    process = start(*train_words(tmp_path / "run"), "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.startswith("{") and out.rstrip().endswith("}")
    epoch, *stage = err.split("\n")
    assert epoch.startswith("head ")
    assert " ".join(stage).startswith("Stage 'head': 1 epoch, ")
    assert " ".join(stage).endswith(" s. ")


def test_the_log_says_where_features_lie_and_a_second_run_finds_them(tmp_path):
    words = train_words(tmp_path / "run", epochs=2, cache_dir=tmp_path / "kept")
    said = [
        " ".join(start(*again).communicate(timeout=120)[1].split())
        for again in (words, [*words, "--overwrite"])
    ]
    assert "Features of 20 train examples" in said[0]
    assert f"in memory, kept in {tmp_path}/kept" in said[0]
    assert said[1].count("kept from an earlier run") == 2
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert any("cached features" in note for note in report["notes"])


def test_an_augmenting_stage_says_why_it_is_not_cached(tltf, tmp_path):
    words = train_words(tmp_path / "run", epochs=2, augment="light")
    code, out, _ = tltf(*words)
    assert code == 0
    assert "views=4 would compute four augmented views" in " ".join(out.split())


@pytest.mark.parametrize("wrong", [{"cache": "ram"}, {"cache_memory": "some"}])
def test_a_wrong_cache_is_refused_before_anything_is_written(
    tltf, tmp_path, wrong
):
    code, _, err = tltf(*train_words(tmp_path / "run", **wrong))
    assert code == 2 and next(iter(wrong)) in err
    assert not (tmp_path / "run").exists()


def test_the_default_linear_probe_is_solved(tltf, tmp_path):
    code, out, _ = tltf(*train_words(tmp_path / "run", solver=None))
    assert code == 0 and "was solved by L-BFGS" in out
