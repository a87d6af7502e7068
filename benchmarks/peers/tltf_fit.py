"""tltf: one call of `tltf.fit` with two stages."""

import keras

import tltf
from benchmarks.peers import keras_networks
from benchmarks.peers.cases import CASES, Texts
from benchmarks.peers.data import head_weights
from benchmarks.peers.task import CLASSES, HEAD_RATE, SEED, TAIL_RATE

prepare = keras_networks.write_start


def run(task, folder, data, clock):
    """Builds a TransferModel and trains it."""
    keras_networks.set_up(task)
    case = CASES[task.backbone]
    clock.begin("build")
    model = _model(task, case, folder)
    clock.begin("head")
    splits = tltf.Splits.from_arrays(
        *data, classes=CLASSES, batch_size=task.batch_size
    )
    _tell_where_tail_begins(model, case.tail, clock)
    fitted = tltf.fit(model, splits, _recipe(task, case), seed=SEED)
    clock.end()
    return {
        "final_loss": fitted.history["loss"][-1],
        "validation_loss": fitted.history["val_loss"][-1],
    }


def _model(task, case, folder):
    if isinstance(case, Texts):
        backbone = tltf.backbones.load(
            f"hub:{keras_networks.preset_of(folder)}",
            sequence_length=task.sequence_length,
        )
    else:
        backbone = tltf.backbones.load(
            task.backbone,
            weights=keras_networks.weights_of(folder),
            image_size=task.image_size,
        )
    keras_networks.still(backbone.model)
    model = tltf.TransferModel(backbone, CLASSES)
    head = model.get_layer("predictions")
    head.set_weights(head_weights(head.kernel.shape[0]))
    return model


def _recipe(task, case):
    plain = keras.optimizers.SGD(momentum=0.0)
    stages = [
        tltf.Stage(
            unfreeze=0,
            epochs=task.head_epochs,
            learning_rate=HEAD_RATE,
            optimizer=plain,
        )
    ]
    if task.tail_epochs:
        stages.append(
            tltf.Stage(
                unfreeze=case.tail,
                epochs=task.tail_epochs,
                learning_rate=TAIL_RATE,
                optimizer=plain,
            )
        )
    return stages


def _tell_where_tail_begins(model, tail, clock):
    """Begins the clock's section when `fit` unfreezes the last block.

    That is the first thing of a stage, so that audits and compiling are
    charged to the stage that they belong to.
    """
    unfreeze = model.unfreeze

    def watched(blocks, *arguments, **options):
        if blocks == tail:
            clock.begin("tail")
        return unfreeze(blocks, *arguments, **options)

    model.unfreeze = watched
