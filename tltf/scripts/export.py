"""`tltf export`: write a trained model for serving."""

import pathlib
import re
import shlex
import sys

from absl import flags

from tltf.scripts import arguments, quiet, trained
from tltf.scripts.command import Answer, Command
from tltf.scripts.parsers import TEXT, YES_OR_NO

FLAGS = flags.FlagValues()
_OWN = {
    "output": (
        "Folder to write. TensorFlow Serving wants a number at its end, such"
        " as serving/flowers/1.",
        TEXT,
    ),
    "format": ("savedmodel.", TEXT, "savedmodel"),
    "overwrite": ("Replaces the folder if it is there.", YES_OR_NO),
}
for _table in (trained.FLAGS, _OWN):
    arguments.define(FLAGS, _table)


def run(_) -> Answer:
    """Writes the model."""
    path = trained.find(FLAGS)
    quiet.load_tensorflow()
    from tltf.exporters import export

    folder = export(
        trained.load(path),
        FLAGS.output,
        format=FLAGS.format,
        overwrite=bool(FLAGS.overwrite),
    )
    serve = _serving_line(folder)
    return Answer(
        facts={"export": str(folder), "serve": serve},
        then=f"SavedModel: {folder}. Next: {serve}",
    )


def _serving_line(folder: pathlib.Path) -> str:
    """Returns what starts TensorFlow Serving with it."""
    whole = folder.resolve()
    if not whole.name.isdigit():
        again = shlex.quote(str(folder / "1"))
        return (
            f"tltf export {trained.named(FLAGS)} --output={again}, because"
            " TensorFlow Serving wants a number as the last part"
        )
    name = re.sub(r"\W", "_", whole.parent.name)
    return (
        f"tensorflow_model_server --rest_api_port=8501 --model_name={name}"
        f" --model_base_path={shlex.quote(str(whole.parent))}"
    )


COMMAND = Command(
    name="export",
    says="""
Writes a trained model as a SavedModel that needs TensorFlow alone: it takes
the bytes of pictures, or texts, and answers with class names.
""",
    run=run,
    flags=FLAGS,
    everyday=(*trained.FLAGS, *_OWN, "json"),
    example="tltf export --model_dir=runs/flowers --output=serving/flowers/1",
    required={
        "output": "the folder to write, such as --output=serving/flowers/1."
    },
)


def main(argv=None) -> int:
    """Runs `tltf export`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
