"""`tltf check`: look at data before training on them."""

import logging
import shlex
import sys

from absl import flags

from tltf.scripts import arguments, quiet
from tltf.scripts.command import Answer, Command
from tltf.scripts.parsers import WHOLE
from tltf.scripts.source_flags import BACKBONE, DATA, SOURCES
from tltf.scripts.tables import table

FLAGS = flags.FlagValues()
_OWN = {"seed": ("Of the split.", WHOLE)}
for _table in (SOURCES, _OWN, DATA, BACKBONE):
    arguments.define(FLAGS, _table)

# More classes or skipped files than these are counted, not shown.
_CLASSES_SHOWN = 40
_SKIPPED_SHOWN = 10

# What to begin with, for texts and for pictures.
_LIKELY = {True: "hub:bert_tiny_en_uncased", False: "applications:MobileNetV2"}


def run(_) -> Answer:
    """Loads the data as training would, and shows what it would see."""
    quiet.load_tensorflow()
    from tltf import backbones, datasets

    options = arguments.given(FLAGS, ("seed", *DATA))
    size = arguments.given(FLAGS, ("image_size",))
    facts, shown = {}, []
    if FLAGS.backbone:
        backbone = backbones.load(
            FLAGS.backbone, **arguments.given(FLAGS, BACKBONE)
        )
        facts["backbone"] = _backbone_facts(backbone)
        shown = [_backbone_lines(facts["backbone"]), ""]
        size = {"image_size": backbone.image_size}
    splits = datasets.load(FLAGS.data, **size, **options)
    facts |= _facts(splits)
    is_text = splits.train.preprocess is None
    return Answer(
        facts=facts,
        shown=[*shown, *_shown(splits)],
        then=f"These data can be used. Next: tltf train"
        f" --data={shlex.quote(FLAGS.data)}"
        f" --backbone={FLAGS.backbone or _LIKELY[is_text]}"
        " --model_dir=runs/first",
    )


def _facts(splits) -> dict:
    return {
        "data": splits.source,
        "label_kind": splits.labels.kind,
        "classes": splits.classes,
        "sizes": {name: len(part) for name, part in splits.parts.items()},
        "counts": {n: part.class_counts for n, part in splits.parts.items()},
        "skipped": [
            {"name": s.name, "reason": s.reason} for s in splits.skipped
        ],
        "notes": splits.notes,
    }


def _shown(splits) -> list:
    shown = [_table_of_counts(splits), ""]
    for skipped in splits.skipped[:_SKIPPED_SHOWN]:
        shown.append(f"Left out: {skipped.name} {skipped.reason}")
    more = len(splits.skipped) - _SKIPPED_SHOWN
    if more > 0:
        shown.append(f"… and {more} more; --json names them all.")
    if splits.skipped:
        shown.append("")
    for note in splits.notes:
        shown.append(f"Note: {note}")
    return [*shown, ""] if splits.notes else shown


def _table_of_counts(splits):
    parts = splits.parts
    counts = [part.class_counts or {} for part in parts.values()]
    rows = []
    if counts[0]:
        rows += [
            [name, *(count[name] for count in counts)]
            for name in splits.classes[:_CLASSES_SHOWN]
        ]
        more = len(splits.classes) - _CLASSES_SHOWN
        rows += [[f"… {more} more"]] if more > 0 else []
    rows += [[], ["all", *map(len, parts.values())]]
    return table(["class", *parts], rows, numbers=True)


def _backbone_facts(backbone) -> dict:
    return {
        "name": backbone.name,
        "weights": backbone.weights or "random",
        "precision": backbone.precision,
        "image_size": backbone.image_size,
        "parameters": backbone.model.count_params(),
        "blocks": [block.name for block in backbone.blocks],
    }


def _backbone_lines(facts: dict) -> str:
    size = facts["image_size"]
    takes = f", {size[0]} x {size[1]} pixels" if size else ""
    return (
        f"{facts['name']}: {facts['parameters']:,} parameters, weights:"
        f" {facts['weights']}, computes in {facts['precision']}{takes}\nBlocks,"
        f" input to output: {', '.join(facts['blocks'])}"
    )


COMMAND = Command(
    name="check",
    says="""
Looks at data as training would, every picture included, and shows how many
examples each class has, which files were left out and why, and what is worth
knowing before hours of training. Exit code 3 says that they cannot be used.
""",
    run=run,
    flags=FLAGS,
    everyday=(
        "data",
        "backbone",
        "image_size",
        "validation",
        "resize",
        "label_kind",
        "text_column",
        "path_column",
        "label_column",
        "split_column",
        "cache_dir",
        "json",
    ),
    example="tltf check --data=folder:flowers/",
    log_level=logging.INFO,
    required={"data": "what to look at, such as --data=folder:flowers/."},
)


def main(argv=None) -> int:
    """Runs `tltf check`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
