"""What does `tltf train` cost beside importing Keras and tracing?

Runs the command on a folder of a few small pictures and says where its CPU
seconds went: importing TensorFlow and Keras, tracing functions, and all the
rest, which is tltf's own fixed cost and the little that these data take. Each
run is a process of its own; the figures are medians.

python -m benchmarks.fixed_cost --runs=3 --recipe=linear_probe
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags
from PIL import Image

FLAGS = flags.FLAGS
flags.DEFINE_string("recipe", "linear_probe", "Of `tltf train`.")
flags.DEFINE_integer("runs", 3, "How many runs.")
flags.DEFINE_bool("here", False, "Runs once, in this process.")

_CLASSES, _EACH, _SIDE = 3, 20, 32

_PARTS = (
    ("load the backbone", "tltf.flow", "_backbone"),
    ("load the data", "tltf.datasets", "load"),
    ("train", "tltf.flow", "fit"),
    ("measure", "tltf.flow", "measure"),
    ("write the report", "tltf.reports.report", "Report.save"),
    ("export", "tltf.flow", "export"),
)


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


class Clock:
    """CPU seconds of functions, without what is traced within them."""

    def __init__(self):
        self.tracing, self._depth = 0.0, 0
        self.parts: dict[str, float] = {}

    def watch(self, title, owner, name):
        """Counts what a function takes, tracing left out."""
        function = getattr(owner, name)

        def timed(*args, **kwargs):
            began, traced = cpu_seconds(), self.tracing
            try:
                return function(*args, **kwargs)
            finally:
                own = cpu_seconds() - began - (self.tracing - traced)
                self.parts[title] = self.parts.get(title, 0.0) + own

        setattr(owner, name, timed)

    def watch_tracing(self, owner, name):
        """Counts what a function takes as tracing."""
        function = getattr(owner, name)

        def timed(*args, **kwargs):
            began = cpu_seconds()
            self._depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.tracing += cpu_seconds() - began

        setattr(owner, name, timed)


def write_pictures(folder: pathlib.Path) -> None:
    """Writes noise around a brightness that tells the classes apart."""
    generator = np.random.default_rng(0)
    for kind in range(_CLASSES):
        (folder / f"kind_{kind}").mkdir(parents=True)
        for number in range(_EACH):
            pixels = generator.normal(60 + 60 * kind, 30, (_SIDE, _SIDE, 3))
            picture = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
            picture.save(folder / f"kind_{kind}" / f"{number}.png")


def run_here() -> dict[str, float]:
    import importlib

    from tltf.scripts import quiet

    quiet.load_tensorflow()
    # Nothing public tells when TensorFlow 2.21 traces.
    from tensorflow.python.eager.polymorphic_function import (
        tracing_compilation,
    )
    from tensorflow.python.framework import func_graph

    imported = cpu_seconds()
    clock = Clock()
    clock.watch_tracing(tracing_compilation, "trace_function")
    clock.watch_tracing(func_graph, "func_graph_from_py_func")
    from tltf.scripts import train

    for title, module, path in _PARTS:
        owner = importlib.import_module(module)
        *outer, name = path.split(".")
        for attribute in outer:
            owner = getattr(owner, attribute)
        clock.watch(title, owner, name)
    with tempfile.TemporaryDirectory() as folder:
        began = cpu_seconds()
        write_pictures(pathlib.Path(folder, "pictures"))
        imported += cpu_seconds() - began
        code = train.main(
            [
                f"--data=folder:{folder}/pictures",
                "--backbone=demo:digits_0_4",
                f"--recipe={FLAGS.recipe}",
                f"--model_dir={folder}/run",
                "--noverbose",
            ]
        )
    if code:
        sys.exit(code)
    everything = cpu_seconds()
    return {
        "import TensorFlow and Keras": imported,
        "trace": clock.tracing,
        **clock.parts,
        "all but importing Keras and tracing": everything
        - imported
        - clock.tracing,
    }


def main(_):
    if FLAGS.here:
        figures = run_here()
        print(json.dumps(figures), file=sys.__stdout__)
        return
    runs = []
    for _ in range(FLAGS.runs):
        command = [sys.executable, "-m", "benchmarks.fixed_cost", "--here"]
        done = subprocess.run(
            [*command, f"--recipe={FLAGS.recipe}"],
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    print("CPU seconds, median (least to most)")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(
            f"{name:<38} {statistics.median(values):6.2f}"
            f" ({min(values):.2f} to {max(values):.2f})"
        )


if __name__ == "__main__":
    app.run(main)
