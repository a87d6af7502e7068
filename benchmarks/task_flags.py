"""The flags that say what is to be done, and with whom."""

import os
import sys

from absl import flags

from benchmarks.peers import PEERS
from benchmarks.peers.cases import CASES
from benchmarks.peers.task import Task

FLAGS = flags.FLAGS
_PRECISIONS = ("float32", "mixed_bfloat16")

flags.DEFINE_enum(
    "backbone", "applications:ResNet50", list(CASES), "The network."
)
flags.DEFINE_integer("images", 256, "Examples, also of texts.", 1)
flags.DEFINE_integer("validation_images", 32, "Evaluated each epoch.", 1)
flags.DEFINE_integer("image_size", 224, "Pixels a side.", 32)
flags.DEFINE_integer("sequence_length", 128, "Tokens a text.", 1, 512)
flags.DEFINE_integer("batch_size", 32, "Examples a step.", 1)
flags.DEFINE_integer("head_epochs", 10, "Epochs of the head alone.", 1)
flags.DEFINE_integer(
    "tail_epochs", 5, "Epochs with the last block; 0 leaves them out.", 0
)
flags.DEFINE_enum("precision", "float32", _PRECISIONS, "Of the arithmetic.")
flags.DEFINE_integer("threads", 0, "Cores for each run; 0 for all.", 0)
flags.DEFINE_integer("runs", 3, "Runs of each peer, in turn.", 1)
flags.DEFINE_list(
    "against", ["keras"], f"Peers, of {', '.join(_ for _ in PEERS)}."
)
flags.DEFINE_string(
    "torch_python", sys.executable, "A Python with torch and transformers."
)
flags.DEFINE_string("results", "benchmarks/results", "Folder for what is found")


@flags.multi_flags_validator(
    ["against"], message=f"--against takes a list of {', '.join(PEERS)}."
)
def _are_peers(values):
    return all(name in PEERS for name in values["against"])


def task() -> Task:
    """Returns what the flags ask for."""
    return Task(
        backbone=FLAGS.backbone,
        images=FLAGS.images,
        validation_images=FLAGS.validation_images,
        image_size=FLAGS.image_size,
        sequence_length=FLAGS.sequence_length,
        batch_size=FLAGS.batch_size,
        head_epochs=FLAGS.head_epochs,
        tail_epochs=FLAGS.tail_epochs,
        precision=FLAGS.precision,
        threads=FLAGS.threads,
    )


def peers() -> list[str]:
    """Returns tltf, those it is measured against, and the floor."""
    return list(dict.fromkeys(["tltf", *FLAGS.against, "floor"]))


def cores(threads: int) -> int:
    """Returns how many cores a run may use."""
    if hasattr(os, "sched_getaffinity"):
        every = len(os.sched_getaffinity(0))
    else:
        every = os.cpu_count()
    return min(threads, every) if threads else every
