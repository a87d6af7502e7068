"""Who is measured: one peer, one file, one process a run.

A peer's module has `prepare(task, folder)`, which writes the weights that its
runs start from and is not timed, and `run(task, folder, data, clock)`, which
trains in the clock's sections and returns the losses. Its libraries are
imported at its top, before the clock starts.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Peer:
    """One row of the table.

    Args:
        title: In tables and plots.
        module: In this package.
        needs: What it imports.
        install: How to get that.
        is_torch: Whether it runs in the Python of `--torch_python`.
        counted: The clock's sections that are its figure.
    """

    title: str
    module: str
    needs: tuple[str, ...]
    install: str
    is_torch: bool = False
    counted: tuple[str, ...] = ("head", "tail")


class NotAvailable(Exception):
    """A peer has no such network; says which it lacks."""


_HERE = "pip install -e '.[benchmark]'"
_TORCH = "pip install torch transformers accelerate (see --torch_python)"

PEERS = {
    "tltf": Peer("tltf", "tltf_fit", ("tltf",), _HERE),
    "keras": Peer("Keras guide", "keras_guide", ("keras",), _HERE),
    "keras_hub": Peer("KerasHub", "keras_hub_task", ("keras_hub",), _HERE),
    "transformers": Peer(
        "HF Trainer",
        "hugging_face",
        ("torch", "transformers", "accelerate"),
        _TORCH,
        is_torch=True,
    ),
    "transformers_fast": Peer(
        "HF Trainer, channels_last + bfloat16",
        "hugging_face_fast",
        ("torch", "transformers", "accelerate"),
        _TORCH,
        is_torch=True,
    ),
    "floor": Peer(
        "one forward pass", "floor", ("keras",), _HERE, counted=("pass",)
    ),
}
