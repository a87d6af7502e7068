"""`tltf train`: from data and a backbone to a measured, exported model."""

import json
import logging
import pathlib
import shlex
import sys
import tempfile

from absl import flags

from tltf.errors import Interrupted
from tltf.scripts import arguments, quiet
from tltf.scripts.command import Answer, Command
from tltf.scripts.parsers import (
    COUNT,
    TEXT,
    WHOLE,
    YES_OR_NO,
    ClassWeights,
    NumberOrName,
)
from tltf.scripts.source_flags import BACKBONE, DATA, SOURCES

FLAGS = flags.FlagValues()

_RATE = flags.FloatParser(0)
_RECIPE = {
    "epochs": (
        "Of each stage, or of the second of lp_ft. Each recipe has its own.",
        COUNT,
    ),
    "learning_rate": ("The peak. Each recipe has its own.", _RATE),
    "unfreeze": (
        "What trains besides the head: how many blocks from the top, the name"
        " of the lowest one, or all.",
        NumberOrName(),
    ),
    "augment": ("Of training pictures: none, light or strong.", TEXT),
    "views": (
        "Augmented views of each picture, computed once and cycled through; 0"
        " augments anew in each epoch, which no cache can serve.",
        WHOLE,
    ),
    "solver": (
        "Of linear_probe: auto (L-BFGS for a linear head), lbfgs or steps.",
        TEXT,
    ),
    "head_solver": ("Of lp_ft: steps, auto or lbfgs.", TEXT),
    "head_epochs": ("Of lp_ft: epochs of the head alone.", COUNT),
    "head_learning_rate": ("Of lp_ft: rate of the head alone.", _RATE),
    "blocks": (
        "Of gradual_unfreezing: how many are unfrozen at the end.",
        WHOLE,
    ),
    "discriminative": (
        "Each block's rate is that of the block above it divided by this.",
        flags.FloatParser(1),
    ),
    "schedule": ("constant, cosine, slanted_triangular or one_cycle.", TEXT),
    "warmup": ("Share of the steps over which the rate rises.", _RATE),
    "span": ("Of the schedule: stage or recipe.", TEXT),
    "optimizer": ("A Keras optimizer, such as adam, sgd or adamw.", TEXT),
    "weight_decay": ("Decoupled decay of kernels.", _RATE),
    "batch_norm": (
        "Of the backbone's where it trains: frozen, affine or train.",
        TEXT,
    ),
    "patience": (
        "Stops a stage after so many epochs without a lower validation loss.",
        COUNT,
    ),
    "class_weights": (
        "balanced, or such as cat=1,dog=3.",
        ClassWeights(),
    ),
}
_OWN = {
    "model_dir": ("Folder to write the run to.", TEXT),
    "recipe": (
        "linear_probe, fine_tune, lp_ft or gradual_unfreezing; `tltf list"
        " recipes` explains them.",
        TEXT,
        "lp_ft",
    ),
    "head": ("linear, mlp or concat_pool.", TEXT),
    "seed": ("Of weights, order and split.", WHOLE),
    "overwrite": ("Replaces the run in model_dir.", YES_OR_NO),
    "resume": (
        "Goes on with the run in model_dir where it was stopped or killed;"
        " other flags need not be typed again.",
        YES_OR_NO,
    ),
    "save_every": (
        "Seconds between two checkpoints, 60 if left out; 0 saves after every"
        " step.",
        _RATE,
    ),
    "strategy": ("auto, mirrored or one_device:GPU:0.", TEXT),
    "cache": (
        "Where features of what is frozen lie: auto, memory, disk or none.",
        TEXT,
    ),
    "cache_memory": ("What they may take in memory, such as 2GB.", TEXT),
    "cache_dtype": ("float32, or float16 for half the room.", TEXT),
    "verbose": ("Shows a line an epoch.", YES_OR_NO, True),
}
for _table in (SOURCES, _OWN, _RECIPE, DATA, BACKBONE):
    arguments.define(FLAGS, _table)


def run(_) -> Answer:
    """Trains, measures and exports."""
    folder = pathlib.Path(FLAGS.model_dir)
    _check_folder(folder)
    if FLAGS.resume and _is_finished(folder):
        return Answer(
            facts={"model_dir": str(folder), "state": "finished"},
            then=f"The run in {folder} is finished: there is nothing to"
            f" resume. Report: {folder / 'report.html'}.",
        )
    recipe_options = _recipe_options()
    data_options = arguments.given(FLAGS, DATA)
    # It is the training's too, which hands it on to data that know it.
    cache_dir = data_options.pop("cache_dir", None)
    quiet.load_tensorflow()
    from tltf import flow

    try:
        outcome = flow.transfer(
            FLAGS.data,
            FLAGS.backbone,
            recipe_options=recipe_options,
            data_options=data_options,
            cache_dir=cache_dir,
            backbone_options=arguments.given(FLAGS, BACKBONE),
            **{"verbose": FLAGS.verbose} | arguments.given(FLAGS, _OWN),
        )
    except Interrupted as error:
        raise Interrupted(
            f"{error} To go on: tltf train"
            f" --model_dir={shlex.quote(str(folder))} --resume",
            error.number,
        ) from error
    report = outcome.report
    is_text = getattr(outcome.model.preprocess, "kind", "") == "text"
    item = '"a text"' if is_text else "picture.jpg"
    return Answer(
        facts={
            "model_dir": str(folder),
            "report": str(folder / "report.html"),
            "model": str(folder / "last.keras"),
            "export": str(folder / "export" / "1"),
            "metrics": report.metrics,
            "notes": report.notes,
        },
        shown=["", report.summary(), ""],
        then=f"Report: {folder / 'report.html'}. Next: tltf predict"
        f" --model_dir={shlex.quote(str(folder))} {item}",
    )


def _check_folder(folder: pathlib.Path) -> None:
    """Finds in the first second that a folder cannot be written."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    tempfile.TemporaryFile(dir=there).close()


def _is_finished(folder: pathlib.Path) -> bool:
    try:
        status = json.loads((folder / "status.json").read_text("utf-8"))
    except FileNotFoundError:
        return False
    return status.get("state") == "finished"


def _settings_file(given: flags.FlagValues) -> str | None:
    """A run that is resumed goes on with its own settings."""
    if given.config_file or not (given.resume and given.model_dir):
        return given.config_file
    path = pathlib.Path(given.model_dir, "settings.yaml")
    return str(path) if path.exists() else None


def _recipe_options() -> dict:
    """Leaves out the file's arguments of another recipe than was typed."""
    options = arguments.given(FLAGS, _RECIPE)
    path = _settings_file(FLAGS)
    if path and FLAGS["recipe"].present:
        settings = arguments.read_settings(path)
        if settings.get("recipe", FLAGS.recipe) != FLAGS.recipe:
            return {n: v for n, v in options.items() if FLAGS[n].present}
    return options


COMMAND = Command(
    name="train",
    says="""
Trains a new head, and then as much of a pretrained backbone as the recipe
says, on your data; measures the result, and exports it. All of it lies in
one folder, the run folder, which nothing else is written to.
""",
    run=run,
    flags=FLAGS,
    everyday=(
        "data",
        "backbone",
        "model_dir",
        "recipe",
        "epochs",
        "learning_rate",
        "unfreeze",
        "image_size",
        "batch_size",
        "weights",
        "head",
        "augment",
        "seed",
        "resume",
    ),
    example="tltf train --data=folder:flowers/ --backbone=applications:ResNet50"
    " \\\n      --model_dir=runs/flowers",
    log_level=logging.INFO,
    file_of=_settings_file,
    required={
        "data": "what to learn from, such as --data=folder:flowers/ (a folder"
        " of pictures for each class). `tltf list datasets` shows the kinds.",
        "backbone": "what to begin with, such as"
        " --backbone=applications:ResNet50. `tltf list backbones` names them.",
        "model_dir": "the folder to write the run to, such as"
        " --model_dir=runs/flowers.",
    },
)


def main(argv=None) -> int:
    """Runs `tltf train`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
