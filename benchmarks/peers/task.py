"""What is to be done, the same for every peer."""

import dataclasses
import json

# What no peer may choose for itself. Plain SGD, without momentum, has no
# state: it does not matter that tltf carries an optimizer over to the second
# stage and that a recompile begins a new one, so tltf's and Keras' runs are
# the same mathematics.
SEED = 0
CLASSES = 5
HEAD_RATE = 1e-3
TAIL_RATE = 1e-4


@dataclasses.dataclass(frozen=True)
class Task:
    """Two stages: the head, then the head with the network's last block.

    Args:
        backbone: A key of `cases.CASES`.
        images: How many examples, also of texts.
        validation_images: How many more are evaluated after each epoch.
        image_size: Pixels a side.
        sequence_length: Tokens of a text.
        batch_size: Examples a step.
        head_epochs: Epochs of the first stage.
        tail_epochs: Epochs of the second; 0 leaves it out.
        precision: A Keras dtype policy; PyTorch takes the autocast like it.
        threads: Cores to use; 0 for all.
    """

    backbone: str
    images: int
    validation_images: int = 32
    image_size: int = 224
    sequence_length: int = 128
    batch_size: int = 32
    head_epochs: int = 10
    tail_epochs: int = 5
    precision: str = "float32"
    threads: int = 0

    @property
    def steps(self) -> int:
        """Batches an epoch, the last one perhaps smaller."""
        return -(-self.images // self.batch_size)

    def to_json(self) -> str:
        """Returns one line that `from_json` takes back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Task":
        """Reads what `to_json` wrote."""
        return cls(**json.loads(line))
