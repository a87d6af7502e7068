"""`tltf evaluate`: measure a trained model on data."""

import dataclasses
import pathlib
import sys

from absl import flags

from tltf.errors import DataError
from tltf.scripts import arguments, quiet, trained
from tltf.scripts.command import Answer, Command
from tltf.scripts.parsers import TEXT, WHOLE, YES_OR_NO
from tltf.scripts.source_flags import DATA, SOURCES

FLAGS = flags.FlagValues()
_PARTS = ("test", "validation", "train", "all")
_OWN = {
    "split": (
        "Which part to measure on: test, validation, train or all. Left out:"
        " test; where there is none, validation of the run's own data, and"
        " all of others.",
        flags.EnumParser(_PARTS),
    ),
    "output_dir": (
        "Folder to write report.html and report.json to. Left out: the next"
        " evaluation-<number> in the run folder.",
        TEXT,
    ),
    "overwrite": ("Replaces a report that lies there.", YES_OR_NO),
    "seed": ("Of the split and the intervals, 0.", WHOLE),
}
_DATA_ONLY = {"data": SOURCES["data"]}
for _table in (trained.FLAGS, _DATA_ONLY, _OWN, DATA):
    arguments.define(FLAGS, _table)


def run(_) -> Answer:
    """Measures, and writes a report."""
    path = trained.find(FLAGS)
    source, options, is_own = _data()
    folder = _output_dir(path)
    quiet.load_tensorflow()
    from tltf import datasets
    from tltf.reports.evaluate import evaluate

    model = trained.load(path)
    preprocess = model.preprocess
    if getattr(preprocess, "kind", None) == "image":
        options |= {
            "image_size": preprocess.image_size,
            "resize": preprocess.resize,
        }
    splits = datasets.load(source, **options)
    name, split = _part(splits, is_own)
    report = evaluate(
        model, _renumbered(split, model.labels), seed=FLAGS.seed or 0
    )
    report = dataclasses.replace(
        report,
        notes=[*report.notes, *_notes(splits, name)],
        facts={**report.facts, "data": f"{source}, {name}"},
    )
    page = report.save(folder)
    return Answer(
        facts={
            "report": str(page),
            "data": source,
            "split": name,
            "size": report.size,
            "metrics": report.metrics,
            "notes": report.notes,
        },
        shown=[f"{source}, {name}", report.summary(), ""],
        then=f"Report: {page}. Next: tltf export {trained.named(FLAGS)}"
        " --output=serving/1",
    )


def _data() -> tuple[str, dict, bool]:
    """Returns the data, how to load them, and whether they are the run's.

    The run's own data are split as the run split them: by another seed, what
    it was trained on would be measured.
    """
    given = arguments.given(FLAGS, ("seed", *DATA))
    settings = {}
    if FLAGS.model_dir:
        path = pathlib.Path(FLAGS.model_dir, "settings.yaml")
        settings = arguments.read_settings(path) if path.exists() else {}
    if FLAGS.data and FLAGS.data != settings.get("data"):
        return FLAGS.data, given, False
    if ":" not in str(settings.get("data", "")):
        raise ValueError(
            "`--data` is missing: what to measure on, such as"
            " --data=folder:flowers/."
        )
    own = {n: settings[n] for n in ("seed", *DATA) if n in settings}
    return settings["data"], own | given, True


def _output_dir(model: pathlib.Path) -> pathlib.Path:
    if FLAGS.output_dir:
        folder = pathlib.Path(FLAGS.output_dir)
        if (folder / "report.html").exists() and not FLAGS.overwrite:
            raise FileExistsError(
                f"{folder} holds a report. Name another folder as"
                " --output_dir, or say --overwrite."
            )
        return folder
    number = 1
    while (model.parent / f"evaluation-{number}").exists():
        number += 1
    return model.parent / f"evaluation-{number}"


def _part(splits, is_own: bool) -> tuple:
    parts = splits.parts
    # Data that the run has not seen have no part to spare.
    without_test = "validation" if is_own else "all"
    name = FLAGS.split or ("test" if "test" in parts else without_test)
    if name == "all":
        return name, _together(list(parts.values()))
    if name not in parts:
        raise DataError(
            f"{splits.source} has no {name} part. It has {', '.join(parts)}."
            " --split says which, or all."
        )
    return name, parts[name]


def _together(parts):
    """Joins parts to one."""
    import numpy as np
    import tensorflow as tf

    def join(*values):
        return np.concatenate(values)

    examples = [part.examples for part in parts]
    if isinstance(examples[0], tf.data.Dataset):
        whole = examples[0]
        for more in examples[1:]:
            whole = whole.concatenate(more)
    else:
        whole = tf.nest.map_structure(join, *examples)
    names = None
    if all(part.names is not None for part in parts):
        names = tuple(name for part in parts for name in part.names)
    return dataclasses.replace(
        parts[0],
        examples=whole,
        targets=join(*(part.targets for part in parts)),
        names=names,
    )


def _renumbered(split, labels):
    """Numbers classes as the model does: other data may lack some of them."""
    import numpy as np

    if split.labels == labels or not (
        split.labels.are_classes and labels.are_classes
    ):
        return split
    names, known = split.labels.classes, labels.classes
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            "The data have classes that the model does not know:"
            f" {unknown[:5]}. It knows {list(known[:20])}."
        )
    number = np.array([known.index(name) for name in names], "int32")
    return dataclasses.replace(
        split, labels=labels, targets=number[split.targets]
    )


def _notes(splits, name: str) -> list[str]:
    """What to know of the figures; how the parts came about is not of it."""
    if name == "all":
        return [
            "This was measured on all of the data. If the model was trained on"
            " some of them, it flatters.",
            *(f"Left out: {s.name} {s.reason}" for s in splits.skipped),
        ]
    said = {
        "validation": "This was measured on validation data. If the model was"
        " trained on these data, they served to watch it, so it may flatter.",
        "train": "This was measured on training data, so it flatters.",
    }
    return [*splits.notes, *([said[name]] if name in said else [])]


COMMAND = Command(
    name="evaluate",
    says="""
Measures a trained model on data, with intervals that say how far the figures
would move with other test examples, and writes a report page.
""",
    run=run,
    flags=FLAGS,
    everyday=(
        *trained.FLAGS,
        "data",
        "split",
        "output_dir",
        "overwrite",
        "batch_size",
        "text_column",
        "path_column",
        "label_column",
        "split_column",
        "seed",
        "json",
    ),
    example="tltf evaluate --model_dir=runs/flowers --data=folder:new_flowers/"
    " --split=all",
)


def main(argv=None) -> int:
    """Runs `tltf evaluate`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
