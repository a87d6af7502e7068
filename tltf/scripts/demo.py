"""`tltf demo`: see that transfer learning works, in a minute, offline."""

import shlex
import sys

from absl import flags

from tltf.scripts import arguments, quiet
from tltf.scripts.command import Answer, Command
from tltf.scripts.parsers import COUNT, TEXT, YES_OR_NO

FLAGS = flags.FlagValues()
_OWN = {
    "model_dir": ("Folder to write the run to.", TEXT, "runs/demo"),
    "seeds": ("How many draws of data and weights.", COUNT, 3),
    "overwrite": ("Replaces a finished run in model_dir.", YES_OR_NO),
    "verbose": ("Shows a bar on a terminal.", YES_OR_NO, True),
}
arguments.define(FLAGS, _OWN)


def run(_) -> Answer:
    """Runs the demo."""
    quiet.load_tensorflow()
    from tltf import demo

    # Fifteen stages: the bar says enough of them.
    with quiet.own_lines_only():
        done = demo.run(
            FLAGS.model_dir,
            seeds=FLAGS.seeds,
            overwrite=bool(FLAGS.overwrite),
            verbose=FLAGS.verbose,
        )
    return Answer(
        facts={
            "model_dir": str(done.model_dir),
            "report": str(done.page),
            "metrics": done.report.metrics,
            "comparison": done.rows,
        },
        shown=[done.summary(), ""],
        then=f"Report: {done.page}. Next: tltf evaluate"
        f" --model_dir={shlex.quote(str(done.model_dir))} --data=demo:digits",
    )


COMMAND = Command(
    name="demo",
    says="""
Teaches a small network, which knows the handwritten digits 0-4, the digits
5-9 from ten pictures each, and compares it with one that begins from nothing
and with one that was trained on shuffled labels. Takes about a minute on two
cores, and no network.
""",
    run=run,
    flags=FLAGS,
    everyday=tuple(_OWN),
    example="tltf demo",
)


def main(argv=None) -> int:
    """Runs `tltf demo`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
