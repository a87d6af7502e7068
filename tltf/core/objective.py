"""What a step minimises: a Keras model around a TransferModel's layers."""

import contextlib
import inspect

import keras
import tensorflow as tf

from tltf.core.graph import (
    Cut,
    Features,
    Graph,
    InferenceMode,
    sublayers,
    trace,
)
from tltf.core.labels import Labels
from tltf.core.model import TransferModel
from tltf.core.stage import Stage


class Supervised(keras.Model):
    """Plain supervised training of the part of a model that is not frozen.

    The frozen prefix runs in inference mode, dropout and stochastic depth
    included; only the suffix can change. Loss and metrics are means over
    examples, also where a batch was filled up with examples of weight zero.

    It takes the model's inputs or `Features`, in training and in evaluation
    alike: from either, the same layers are run as are left to run.

    Args:
        model: The model whose layers it trains.
        stage: Says what is frozen, and how batch normalisation is treated.
        class_weights: One weight for each class, or None.
        start: The cut at which `Features` begin, if there will be any.
    """

    def __init__(
        self,
        model: TransferModel,
        stage: Stage,
        class_weights: tuple[float, ...] | None = None,
        start: Cut | None = None,
    ):
        # Keras must neither round the inputs nor wrap the optimizer.
        super().__init__(name="objective", dtype="float32")
        graph, cut = cut_of(model, stage)
        self.prefix = graph.model(None, cut) if cut.made else None
        self.suffix = graph.model(cut if cut.made else None, None)
        is_deeper = start is not None and start != cut
        self.bridge = graph.model(start, cut) if is_deeper else None
        self._labels = model.labels
        self._class_weights = class_weights
        self._each = model.labels.loss()
        self.example_loss = keras.metrics.Mean(name="loss")

    def call(self, inputs, training=None):
        """Runs the prefix for inference, the suffix as it is asked to."""
        frozen = self.prefix
        if isinstance(inputs, Features):
            frozen, inputs = self.bridge, inputs.as_inputs()
        if frozen is not None:
            # As new tensors, without Keras' masks: those cross on their own.
            inputs = keras.tree.map_structure(
                tf.identity, frozen(inputs, training=False)
            )
        return self.suffix(inputs, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The weighted loss, and the plain one for the log."""
        self.example_loss.update_state(
            self._each(y, y_pred), sample_weight=_is_real(sample_weight)
        )
        if training and self._class_weights is not None:
            by_class = _weigh(self._labels, self._class_weights, y)
            sample_weight = (
                by_class if sample_weight is None else by_class * sample_weight
            )
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Counts every real example once."""
        logs = super().compute_metrics(x, y, y_pred, _is_real(sample_weight))
        return logs | {"loss": self.example_loss.result()}

    def prepare(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the loss and metrics of the labels."""
        self.compile(
            optimizer=optimizer,
            loss=type(self._each)(),
            weighted_metrics=self._labels.metrics(),
        )


def cut_of(model: TransferModel, stage: Stage) -> tuple[Graph, Cut]:
    """Cuts a model at the deepest point below all that a stage trains.

    Layers without weights that do the same in training, such as the pooling
    of a head, are below the cut where nothing that trains feeds them.

    Returns:
        The model's graph, in which `batch_norm="affine"` layers run on their
        statistics, and the cut.
    """
    layers = {layer.name: layer for layer in model.layers}
    active = {
        name
        for block in model.unfrozen(stage.unfreeze)
        for name in block.layers
        if name in layers and _may_change(layers[name])
    }
    in_head = set(model.head.layers)

    def on_statistics(layer):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        if is_norm and layer.name not in in_head:
            return InferenceMode(layer)
        return layer

    affine = stage.batch_norm == "affine"
    graph = trace(model, on_statistics if affine else None)
    return graph, graph.below(active)


def _may_change(layer: keras.layers.Layer) -> bool:
    """Whether a layer can learn, or do otherwise in training."""
    return any(
        inner.variables
        or "training" in inspect.signature(inner.call).parameters
        for inner in sublayers(layer)
    )


def _is_real(sample_weight):
    """Weight one for real examples, zero for those that fill a batch up."""
    if sample_weight is None:
        return None
    return tf.cast(sample_weight > 0, tf.float32)


def _weigh(labels: Labels, class_weights, targets):
    """The weight of each example from the classes of its target."""
    targets = tf.cast(targets, tf.float32)
    columns = labels.probabilities(targets)
    return tf.linalg.matvec(columns, tf.constant(class_weights, tf.float32))


@contextlib.contextmanager
def retracing_is_meant():
    """Keeps TensorFlow from warning that each stage traces a new step."""

    def is_other(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
