"""What does the whole job cost, beside what people use today?

The job: train a new head on a frozen network, then the head together with the
network's last block. Peers are the script of Keras' transfer learning guide
(`keras`), KerasHub's ImageClassifier and BertTextClassifier (`keras_hub`), and
Hugging Face's Trainer on PyTorch, in float32 (`transformers`) and in
channels_last with bfloat16 (`transformers_fast`). Beside them is the floor:
one forward pass over the same data.

All take the same arrays from memory, in batches of the same size, for as many
epochs, with the same threads, and evaluate the same examples after each epoch.
What counts begins when the data are in memory and the libraries imported, and
ends when the final loss is known. Building the network and loading its weights
is measured apart (`build`), for all. Each run is a process of its own; the
peers take turns.

tltf and Keras' script start from one file of weights and see the same batches
in the same order, and what they do is the same mathematics: plain SGD without
momentum (tltf would carry an optimizer's moments over to the second stage, a
recompile forgets them), no dropout, batch normalisation on its statistics. So
in float32 their final losses must agree to 1e-5. Networks are random, with
statistics of batch normalisation taken from the data: nothing is downloaded,
and the time is that of pretrained ones.

OpenMP's threads, which are PyTorch's, wait passively (OMP_WAIT_POLICY, unless
it is set): beside any other work their busy waiting took five times the CPU
seconds of the arithmetic.

    pip install -e ".[benchmark]"
    python -m benchmarks.transfer --backbone=applications:ResNet50 \
        --images=256 --head_epochs=10 --tail_epochs=5 --against=keras,keras_hub

PyTorch wants an environment of its own, without torchvision and TensorFlow:

    python -m venv torch_environment
    torch_environment/bin/pip install torch
    torch_environment/bin/pip install transformers accelerate
    python -m benchmarks.transfer --against=keras,transformers \
        --torch_python=torch_environment/bin/python

The other cases are applications:VGG16, applications:EfficientNetV2B0 and
hub:bert_base_en_uncased; `--backbone=hub:bert_tiny_en_uncased --images=32
--runs=1` tries the program out. The table, a plot and all figures go to
`--results`. How cost grows with images and epochs: `benchmarks.growth`.
"""

import pathlib

from absl import app

from benchmarks import results, rounds, task_flags
from benchmarks.task_flags import FLAGS


def main(_):
    task = task_flags.task()
    measured = rounds.measure(
        task, task_flags.peers(), FLAGS.runs, FLAGS.torch_python
    )
    folder = pathlib.Path(FLAGS.results)
    cores = task_flags.cores(task.threads)
    print(results.save(measured, task, cores, folder))
    print(f"\nWritten: {folder / results.name_of(task)}.md, .svg and .json")


if __name__ == "__main__":
    app.run(main)
