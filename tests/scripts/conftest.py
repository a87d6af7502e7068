"""One small run that the tests of the commands share, and ways to call."""

import json
import os
import subprocess
import sys

import pytest

from tltf.scripts import main as program


@pytest.fixture
def tltf(capsys):
    """Calls `tltf …` in this process: exit code, stdout, stderr."""

    def call(*argv):
        capsys.readouterr()
        code = program.main([str(word) for word in argv])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def tltf_json(tltf):
    """Calls it with --json: exit code and the one object on stdout."""

    def call(*argv):
        code, out, _ = tltf(*argv, "--json")
        return code, json.loads(out)

    return call


def start(*argv, **options) -> subprocess.Popen:
    """Starts `tltf …` as a process of its own, in a terminal's manner."""
    return subprocess.Popen(
        [sys.executable, "-m", "tltf.scripts.main", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
        **options,
    )


def train_words(folder, **changed) -> list[str]:
    """What is typed to train in a second or two."""
    words = {
        "data": "demo:digits",
        "backbone": "demo:digits_0_4",
        "weights": "none",
        "labels_per_class": 4,
        "recipe": "linear_probe",
        "solver": "steps",
        "epochs": 1,
        "learning_rate": 0.01,
        "model_dir": folder,
    } | changed
    return ["train", *(f"--{n}={v}" for n, v in words.items() if v is not None)]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "shared"
    assert program.main(train_words(folder)) == 0
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Three good pictures, and files that are none, in a folder."""
    from tltf.datasets import cluttered_digits, demo

    folder = tmp_path_factory.mktemp("pictures")
    images = cluttered_digits.target(1, 0)["train"][0]
    for i in range(3):
        path = folder / ("deep" if i == 2 else ".") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(demo._png(images[i]))
    (folder / "bad.jpg").write_text("no picture at all")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:99])
    (folder / "empty.png").touch()
    (folder / ".hidden.png").write_text("not to be looked at")
    return folder
