"""KerasHub's tasks: ImageClassifier and BertTextClassifier."""

import keras_hub

from benchmarks.peers import data as examples
from benchmarks.peers import keras_networks, keras_stages
from benchmarks.peers.cases import CASES, Texts
from benchmarks.peers.task import CLASSES

_PRESET = "keras_hub"
_CALIBRATED_ON = 16
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def prepare(task, folder):
    """Writes a preset: the network and what it does to pixels."""
    keras_networks.set_up(task)
    case = CASES[task.backbone]
    if isinstance(case, Texts):
        keras_networks.write_start(task, folder)
        return
    network, room = _NETWORKS[case.network](task)
    (pictures, _), _ = examples.make(task)
    converter = room.image_converter_cls(
        image_size=(task.image_size, task.image_size),
        scale=[1 / (255 * deviation) for deviation in _DEVIATION],
        offset=[-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)],
    )
    keras_networks.calibrate(network, converter(pictures[:_CALIBRATED_ON]))
    made = _classifier(network, room(converter))
    made.save_to_preset(str(folder / _PRESET))


def run(task, folder, data, clock):
    """Makes the classifier of its preset and trains it in two stages."""
    keras_networks.set_up(task)
    case = CASES[task.backbone]
    clock.begin("build")
    if isinstance(case, Texts):
        model, prefixes = _text_classifier(folder), case.prefixes
    else:
        preset = str(folder / _PRESET)
        model = _classifier(
            keras_hub.models.Backbone.from_preset(preset),
            keras_hub.models.ImageClassifierPreprocessor.from_preset(preset),
        )
        prefixes = case.hub_prefixes
    head = model.output_dense
    head.set_weights(examples.head_weights(head.kernel.shape[0]))
    network = model.backbone
    return keras_stages.train(
        model, network, prefixes, task, data, clock, is_softmax=False
    )


def _classifier(network, preprocessor):
    # Not the class that `from_preset` would choose: VGG's has VGG's own two
    # wide layers on top, the other peers' head is one layer on the average.
    return keras_hub.models.ImageClassifier(
        network, CLASSES, preprocessor=preprocessor
    )


def _text_classifier(folder):
    return keras_hub.models.BertTextClassifier.from_preset(
        keras_networks.preset_of(folder),
        num_classes=CLASSES,
        preprocessor=None,
        dropout=0.0,
    )


def _res_net_50(task):
    models = keras_hub.models
    network = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        use_pre_activation=False,
        image_shape=(task.image_size, task.image_size, 3),
    )
    return network, models.ResNetImageClassifierPreprocessor


def _vgg_16(task):
    models = keras_hub.models
    network = models.VGGBackbone(
        stackwise_num_repeats=[2, 2, 3, 3, 3],
        stackwise_num_filters=[64, 128, 256, 512, 512],
        image_shape=(task.image_size, task.image_size, 3),
    )
    return network, models.VGGImageClassifierPreprocessor


def _efficient_net_v2_b0(task):
    models = keras_hub.models
    network = models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 6,
        stackwise_depth_coefficients=[1.0] * 6,
        stackwise_kernel_sizes=[3] * 6,
        stackwise_num_repeats=[1, 2, 2, 3, 5, 8],
        stackwise_input_filters=[32, 16, 32, 48, 96, 112],
        stackwise_output_filters=[16, 32, 48, 96, 112, 192],
        stackwise_expansion_ratios=[1, 4, 4, 4, 6, 6],
        stackwise_squeeze_and_excite_ratios=[0, 0, 0, 0.25, 0.25, 0.25],
        stackwise_strides=[1, 2, 2, 2, 1, 2],
        stackwise_block_types=["fused"] * 3 + ["unfused"] * 3,
        stackwise_force_input_filters=[0] * 6,
        stackwise_nores_option=[False] * 6,
        dropout=0.0,
        image_shape=(task.image_size, task.image_size, 3),
    )
    return network, models.EfficientNetImageClassifierPreprocessor


_NETWORKS = {
    "ResNet50": _res_net_50,
    "VGG16": _vgg_16,
    "EfficientNetV2B0": _efficient_net_v2_b0,
}
