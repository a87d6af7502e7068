"""What does a picture cost on its way from a JPEG file into a batch?

tltf's two ways, `Split.batches()` in order and `Split.passes()` as training
reads, beside Keras' `image_dataset_from_directory`, a plain `tf.data` pipeline,
a loop with Pillow and NumPy, and PyTorch's DataLoader with Pillow. All of them
give float32 batches `[32, image_size, image_size, 3]` with values 0..255, in
file order except for `passes`. Pillow decodes at reduced scale (`Image.draft`),
as tltf does, and filters while it resizes, as none of the others does.

One file, so that each loader can be read beside the others. Each run is a
process of its own, in alternating order, there and back. A first pass, in which
functions are traced, threads and workers start and files enter the page cache,
is left out. CPU is what all threads and worker processes of a loader take, user
and system; `/proc` tells that of the workers, so it runs on Linux. Other work
on the machine moves wall time first, and CPU by some per cent. `passes` has no
end: what it has read ahead counts in the pass before.

python -m benchmarks.loading --pictures=512 --runs=5 --torch_python=PATH
"""

import itertools
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata

from absl import app, flags

BATCH_SIZE = 32

FLAGS = flags.FLAGS
flags.DEFINE_integer("pictures", 512, "How many, of the first size.")
flags.DEFINE_multi_integer("width", [500, 1600], "Of the files, a case each.")
flags.DEFINE_multi_integer("height", [375, 1200], "Of the files.")
flags.DEFINE_integer("image_size", 224, "Pixels a side, of the batches.")
flags.DEFINE_integer("passes", 3, "Passes that are measured in each run.")
flags.DEFINE_integer("runs", 5, "Runs of each loader, in turn.")
flags.DEFINE_string(
    "torch_python", None, "A Python that has torch, Pillow, NumPy and absl-py."
)
flags.DEFINE_string("results", "benchmarks/results", "Folder for the table.")
flags.DEFINE_string("only", None, "Runs one loader, in this process.")
flags.DEFINE_string("folder", None, "The pictures; used with `--only`.")


def tltf_train(folder):
    import tltf

    return tltf.datasets.load(
        f"folder:{folder}", image_size=FLAGS.image_size, batch_size=BATCH_SIZE
    ).train


def tltf_batches(folder):
    return tltf_train(folder).batches().__iter__


def tltf_passes(folder):
    train = tltf_train(folder)
    endless = iter(train.passes(seed=0))
    return lambda: itertools.islice(endless, train.steps)


def keras_directory(folder):
    import keras

    return keras.utils.image_dataset_from_directory(
        f"{folder}/train",
        image_size=(FLAGS.image_size, FLAGS.image_size),
        batch_size=BATCH_SIZE,
        shuffle=False,
        verbose=False,
    ).__iter__


def plain_tf_data(folder):
    import tensorflow as tf

    def read(path, label):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        size = (FLAGS.image_size, FLAGS.image_size)
        return tf.image.resize(pixels, size), label

    return (
        tf.data.Dataset.from_tensor_slices(files(folder))
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH_SIZE)
        .prefetch(tf.data.AUTOTUNE)
        .__iter__
    )


def pillow_loop(folder):
    import numpy as np

    def one_pass():
        paths, labels = files(folder)
        for start in range(0, len(paths), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            pixels = np.stack([pillow_pixels(path) for path in paths[rows]])
            yield pixels.astype("float32"), np.array(labels[rows])

    return one_pass


def torch_in_process(folder):
    return torch_loader(folder, workers=0)


def torch_workers(folder):
    return torch_loader(folder, workers=len(os.sched_getaffinity(0)))


def torch_loader(folder, workers):
    import torch

    # A second thread waits for its share of so small a job by spinning, which
    # took up to eight milliseconds a picture where the other core was busy.
    torch.set_num_threads(1)
    paths, labels = files(folder)

    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, i):
            return torch.from_numpy(pillow_pixels(paths[i])), labels[i]

    loader = torch.utils.data.DataLoader(
        Files(),
        BATCH_SIZE,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,
    )
    # Bytes are cheaper than floats to hand over from a worker.
    return lambda: ((pixels.float(), label) for pixels, label in loader)


# Name in the table, and whether it needs torch.
LOADERS = {
    tltf_batches: ("tltf, `batches()`", False),
    tltf_passes: ("tltf, `passes(seed=0)`", False),
    keras_directory: ("Keras, `image_dataset_from_directory`", False),
    plain_tf_data: ("plain `tf.data`", False),
    pillow_loop: ("Pillow and NumPy, one thread", False),
    torch_in_process: ("PyTorch DataLoader, no worker", True),
    torch_workers: ("PyTorch DataLoader, a worker a core", True),
}


def files(folder):
    paths = sorted(str(p) for p in pathlib.Path(folder, "train").glob("*/*"))
    return paths, [int(os.path.dirname(path)[-1]) for path in paths]


def pillow_pixels(path):
    import numpy as np
    from PIL import Image

    size = (FLAGS.image_size, FLAGS.image_size)
    with Image.open(path) as picture:
        picture.draft("RGB", size)
        resized = picture.convert("RGB").resize(size, Image.BILINEAR)
    return np.array(resized)


def write_pictures(folder, width, height, count):
    """Cuts JPEGs of quality 90 out of one picture of smooth noise.

    Its octaves lose a fifth of their amplitude each, which gives files of
    about two bits a pixel, as photographs have.
    """
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    canvas = np.full((2 * height, 2 * width, 3), 128, "float32")
    for octave in range(2, int(np.log2(2 * width))):
        noise = random.normal(size=(2**octave, 2**octave, 3))
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel].astype("float32"))
            layer = layer.resize((2 * width, 2 * height), Image.BICUBIC)
            canvas[..., channel] += 45 * 0.8 ** (octave - 2) * np.asarray(layer)
    canvas = canvas.clip(0, 255).astype("uint8")
    for part, size in (("train", count), ("validation", 2)):
        for i in range(size):
            top, left = random.integers((height, width))
            cut = canvas[top : top + height, left : left + width]
            path = pathlib.Path(folder, part, str(i % 2), f"{i:05}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(cut).save(path, quality=90)


def run_once():
    """Reads the folder in this process and prints one line of JSON."""
    loader = {loader.__name__: loader for loader in LOADERS}[FLAGS.only]
    one_pass = loader(FLAGS.folder)
    means = [float(pixels.__array__().mean()) for pixels, _ in one_pass()]
    pictures, cpu, wall = 0, cpu_seconds(), time.perf_counter()
    for _ in range(FLAGS.passes):
        for pixels, _ in one_pass():
            pictures += len(pixels)
    figures = {
        "cpu": 1000 * (cpu_seconds() - cpu) / pictures,
        "wall": 1000 * (time.perf_counter() - wall) / pictures,
        "mean": statistics.mean(means),
    }
    print(json.dumps(figures))


def cpu_seconds():
    """Returns user and system time of this process and of its workers."""
    ticks = 0
    for worker in multiprocessing.active_children():
        stat = pathlib.Path(f"/proc/{worker.pid}/stat").read_text()
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure(folder, loaders):
    """Returns the figures of each run by the loader's name."""
    found = {name: [] for name, _ in loaders.values()}
    for number in range(FLAGS.runs):
        rows = list(loaders.items())
        for loader, (name, needs_torch) in rows if number % 2 else rows[::-1]:
            python = FLAGS.torch_python if needs_torch else sys.executable
            command = [python, "-m", "benchmarks.loading", *sys.argv[1:]]
            command += [f"--only={loader.__name__}", f"--folder={folder}"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    means = [run["mean"] for runs in found.values() for run in runs]
    if max(means) - min(means) > 1:
        sys.exit(f"The loaders do not give the same pictures: {means}")
    return found


def usable_loaders():
    """Returns the loaders that can run, and a line on what they run with."""
    packages = ("tensorflow", "keras", "numpy", "pillow")
    found = [f"{name} {metadata.version(name)}" for name in packages]
    code = "import absl, numpy, PIL, torch; print(torch.__version__)"
    reason = "`--torch_python` was not given"
    if FLAGS.torch_python:
        command = [FLAGS.torch_python, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True)
        if not done.returncode:
            return LOADERS, ", ".join([*found, f"torch {done.stdout.strip()}"])
        reason = "`--torch_python` cannot import absl, numpy, PIL and torch"
    usable = {key: row for key, row in LOADERS.items() if not row[1]}
    return usable, f"{', '.join(found)}; PyTorch was left out: {reason}"


def table(title, found):
    lines = [f"## {title}\n", "| loader | CPU ms | wall ms |", "|---|--:|--:|"]
    for name, runs in found.items():
        cells = [_spread([run[key] for run in runs]) for key in ("cpu", "wall")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join([*lines, ""])


def main(_):
    if FLAGS.only:
        run_once()
        return
    loaders, note = usable_loaders()
    cases = {}
    for width, height in zip(FLAGS.width, FLAGS.height, strict=True):
        # Fewer of the larger ones, in whole batches.
        count = FLAGS.pictures * FLAGS.width[0] // width
        count = max(count // BATCH_SIZE, 1) * BATCH_SIZE
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(folder, width, height, count)
            paths, _ = files(folder)
            size = statistics.mean(map(os.path.getsize, paths)) / 1024
            title = f"{count} of {width}×{height}, {size:.0f} KB each"
            cases[title] = measure(folder, loaders)
        print(table(title, cases[title]), flush=True)
    write_results(cases, note)


def write_results(cases, note):
    folder = pathlib.Path(FLAGS.results)
    folder.mkdir(parents=True, exist_ok=True)
    text = f"""# From JPEG files to batches

Milliseconds a picture, as medians (smallest to largest) of {FLAGS.runs}
processes, each of {FLAGS.passes} passes after one that is not counted; to
{FLAGS.image_size}×{FLAGS.image_size}, on {len(os.sched_getaffinity(0))} cores
where other work may run too. Made by `python -m benchmarks.loading`, whose
first lines say what is measured, with {note}.
"""
    tables = [table(title, found) for title, found in cases.items()]
    folder.joinpath("loading.md").write_text("\n".join([text, *tables]))
    figures = json.dumps({"with": note, "cases": cases}, indent=1)
    folder.joinpath("loading.json").write_text(figures + "\n")


def _spread(values):
    low, high = min(values), max(values)
    return f"{statistics.median(values):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    app.run(main)
