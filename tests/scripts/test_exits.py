"""Exit codes, and that a user's own mistake shows no traceback."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.scripts.conftest import start, train_words
from tltf.errors import (
    AuditError,
    DataError,
    TrainingError,
    UnavailableError,
)
from tltf.scripts import exits, train


@pytest.mark.parametrize(
    "error, code",
    [
        (ValueError("x"), 2),
        (TypeError("x"), 2),
        (FileExistsError("x"), 2),
        (DataError("x"), 3),
        (UnavailableError("x"), 4),
        (PermissionError(13, "Permission denied", "/x"), 4),
        (ImportError("x"), 4),
        (MemoryError(), 4),
        (TrainingError("x"), 5),
        (AuditError("x"), 5),
        (KeyError("x"), 1),
        (RuntimeError("x"), 1),
    ],
)
def test_errors_have_codes(error, code):
    assert exits.code_of(error) == code
    assert "\n" not in exits.message_of(error)


def failing(monkeypatch, error):
    def run(_):
        raise error

    # The command is frozen, on purpose.
    monkeypatch.setitem(train.COMMAND.__dict__, "run", run)


@pytest.mark.parametrize(
    "error, code",
    [(DataError("no classes"), 3), (UnavailableError("no net"), 4)],
)
def test_a_users_mistake_is_one_line(tltf, monkeypatch, error, code):
    failing(monkeypatch, error)
    argv = train_words("unused")
    assert tltf(*argv) == (code, "", f"tltf train: {error}\n")
    assert "Traceback" in tltf(*argv, "--debug")[2]


def test_a_bug_says_so_in_one_line(tltf, monkeypatch):
    failing(monkeypatch, KeyError("block"))
    code, out, err = tltf(*train_words("unused"))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "bug" in err and "--debug" in err and "Traceback" not in err


def test_ctrl_c_wins_over_what_a_library_makes_of_it(
    tltf, monkeypatch, in_front
):
    def run(_):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise RuntimeError("a library's own") from None

    monkeypatch.setitem(train.COMMAND.__dict__, "run", run)
    before = signal.getsignal(signal.SIGINT)
    assert tltf(*train_words("unused")) == (
        130,
        "",
        "tltf train: interrupted.\n",
    )
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    "argv, said",
    [
        (["trian"], "Did you mean 'train'?"),
        (["--epochs=3"], "command comes first"),
        (["train", "--data=x", "--backbone=y"], "`--model_dir` is missing"),
        (["train", "extra", "--data=x"], "'extra'"),
        (["train", "--modeldir=x"], "Did you mean '--model_dir'?"),
        (["train", "--seed=1", "--seed=1"], "twice"),
        (["train", "--config_file=x", "--config_file=y"], "twice"),
        (["export", "--model_dir=x"], "`--output` is missing"),
        (["evaluate"], "--model_dir=runs/flowers"),
        (["predict", "--model_dir=nowhere", "a.jpg"], "no run folder nowhere"),
        (["list", "backbone"], "Did you mean 'backbones'?"),
        (["list", "backbones", "application"], "Did you mean 'applications'?"),
        (["check", "--data=floder:x"], "Did you mean 'folder'?"),
        (train_words("x", recipe="lp-ft"), "Did you mean 'lp_ft'?"),
        (train_words("x", head_epochs=3), "no argument 'head_epochs'"),
    ],
)
def test_usage_is_two_and_offers_the_nearest(
    tltf, argv, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = tltf(*argv)
    assert (code, out) == (2, "") and said in err and "Traceback" not in err


def test_nothing_typed_shows_the_page_and_is_usage(tltf):
    code, out, err = tltf()
    assert (code, out) == (2, "") and "Usage: tltf COMMAND" in err


def test_a_finished_run_is_not_replaced(tltf, run_folder):
    code, _, err = tltf(*train_words(run_folder))
    assert code == 2 and "finished run" in err


def test_data_is_three(tltf, tmp_path):
    (tmp_path / "only").mkdir()
    for path in (tmp_path, tmp_path / "nowhere"):
        assert tltf("check", f"--data=folder:{path}")[0] == 3


def test_environment_is_four(tltf, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = tltf(*train_words(tmp_path / "file" / "run"))
    assert code == 4 and str(tmp_path / "file") in err
    assert tltf("train", f"--config_file={tmp_path}/no.yaml")[0] == 4


def test_training_is_five(tltf, tmp_path):
    words = train_words(
        tmp_path, learning_rate=1e30, recipe="fine_tune", epochs=3
    )
    code, _, err = tltf(*words)
    assert code == 5 and "Traceback" not in err
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "failed"


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_interrupted_is_said_in_one_line(tmp_path, number, code):
    process = start(
        *train_words(tmp_path, epochs=10_000),
        # A shell's background jobs ignore Ctrl-C; ours is in front.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_for(tmp_path / "history.csv", process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    line = err.splitlines()[-1]
    assert line.startswith("tltf train: Stopped by ") and ", and saved" in line
    assert line.endswith(
        f"To go on: tltf train --model_dir={tmp_path} --resume"
    )
    assert "Traceback" not in err
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "interrupted"


def wait_for(path: pathlib.Path, process) -> None:
    until = time.monotonic() + 120
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()


@pytest.mark.parametrize("argv", [["list", "datasets"], ["train", "--help"]])
def test_a_reader_that_left_is_no_error(argv):
    """As in `tltf list | head -1`."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "tltf.scripts.main", *argv],
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_loading_leaves_the_garbage_collector_as_it_was():
    """And hands it nothing of what was loaded to go through again."""
    program = (
        "import gc; from tltf.scripts import quiet; quiet.load_tensorflow();"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.stdout == "True True\n"
