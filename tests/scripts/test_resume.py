"""`tltf train --resume` goes on with a run that was stopped or killed."""

import json
import signal

import pytest

from tests.scripts.conftest import start, train_words
from tests.scripts.test_exits import wait_for
from tests.scripts.test_train import history


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed, and what was typed for it."""
    from tltf.scripts import main as program

    options = {"recipe": "lp_ft", "solver": None, "epochs": 60}
    options |= {"head_epochs": 20, "seed": 5}
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert program.main(train_words(folder, **options)) == 0
    return folder, options


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_as_if_nothing_had_been(tltf, tmp_path, whole, number):
    expected, options = whole
    process = start(*train_words(tmp_path, save_every=0, **options))
    try:
        wait_for(tmp_path / "history.csv", process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (143 if number == signal.SIGTERM else -9), err
    assert 0 < len(history(tmp_path)) < len(history(expected))
    code, _, err = tltf(*train_words(tmp_path, **options))
    assert code == 2 and "--resume" in err and "--overwrite" in err
    code, _, err = tltf("train", f"--model_dir={tmp_path}", "--resume")
    assert code == 0, err
    assert "Resumed in stage" in err
    assert history(tmp_path) == history(expected)
    metrics, wanted = (
        json.loads((folder / "report.json").read_text())["metrics"]
        for folder in (tmp_path, expected)
    )
    assert metrics == wanted
    assert not (tmp_path / "checkpoints").exists()


def test_a_finished_run_has_nothing_to_resume(tltf, run_folder):
    before = (run_folder / "status.json").read_bytes()
    words = ["train", f"--model_dir={run_folder}", "--resume"]
    code, out, _ = tltf(*words)
    assert code == 0 and "is finished" in out
    assert (run_folder / "status.json").read_bytes() == before


def test_with_other_settings_it_is_refused(tltf, tmp_path, whole):
    _, options = whole
    process = start(*train_words(tmp_path, save_every=0, **options))
    try:
        wait_for(tmp_path / "history.csv", process)
        process.kill()
        process.communicate(timeout=60)
    finally:
        process.kill()
    words = ["train", f"--model_dir={tmp_path}", "--resume"]
    code, _, err = tltf(*words, "--epochs=61")
    assert code == 2 and "with other recipe" in err
    assert (tmp_path / "checkpoints").exists()
    assert tltf(*train_words(tmp_path, **options), "--overwrite")[0] == 0


def test_a_folder_that_another_run_writes_to_is_refused(tltf, tmp_path):
    process = start(*train_words(tmp_path, epochs=10_000))
    try:
        wait_for(tmp_path / "history.csv", process)
        for more in ([], ["--overwrite"], ["--resume"]):
            code, _, err = tltf(*train_words(tmp_path), *more)
            assert code == 2 and f"process {process.pid} on" in err
    finally:
        process.kill()
        process.communicate(timeout=60)
    # Its lock went with it.
    assert tltf(*train_words(tmp_path), "--overwrite")[0] == 0
