"""Pictures and texts of TensorFlow Datasets."""

import numpy as np
import tensorflow as tf

from tltf.core import sources
from tltf.core.labels import Labels
from tltf.core.preprocess import ImagePreprocess
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.core.targets import find_labels, to_targets
from tltf.datasets import tfds_builder
from tltf.datasets.parts import part_of
from tltf.errors import DataError, nearest


def load(
    name,
    *,
    image_size: int | tuple[int, int] = 224,
    batch_size: int = 32,
    seed: int = 0,
    validation: float = 0.2,
    resize: str = "stretch",
    data_dir: str | None = None,
    input_feature: str | None = None,
    label_feature: str | None = None,
    train_split: str | None = None,
    validation_split: str | None = None,
    test_split: str | None = None,
) -> Splits:
    """Reads pictures or texts with one label each from TensorFlow Datasets.

    What is not prepared on this machine is downloaded, by TFDS's own means
    and to its own folder. Pictures stay encoded until `ImagePreprocess`
    decodes them, as in serving.

    Args:
        name: Such as `"mnist"` or `"glue/sst2"`; or a folder that holds a
            `dataset_info.json`; or a `tfds.core.DatasetBuilder`.
        image_size: Pixels, or (height, width), for pictures.
        batch_size: Global batch size.
        seed: Of the choice of validation examples.
        validation: The share of train that is held out, stratified, where
            the data have no validation split.
        resize: `"stretch"`, `"crop"` or `"pad"`, see `ImagePreprocess`.
        data_dir: Where TFDS keeps its data; default, what TFDS says.
        input_feature: Default, that of `as_supervised`, or the only picture,
            or the only text.
        label_feature: Default, that of `as_supervised`, or the only
            `ClassLabel`.
        train_split: Such as `"train[:80%]"`; default, what is called train.
        validation_split: Default, what is called so, if there is one.
        test_split: Default, what is called so, if there is one.

    Raises:
        DataError: There is no such dataset, or none of these features.
        UnavailableError: It is not on this machine and cannot be downloaded.
    """
    builder = (
        tfds_builder.find(name, data_dir) if isinstance(name, str) else name
    )
    tfds_builder.prepare(builder)
    given = {
        "train": train_split,
        "validation": validation_split,
        "test": test_split,
    }
    slices = _slices(builder, given)
    input_feature, label_feature, notes = _features(
        builder.info, input_feature, label_feature
    )
    read = {
        part: sources.dataset(
            _read(builder, sliced, input_feature, label_feature), part
        )
        for part, sliced in slices.items()
    }
    labels = _labels(builder.info, label_feature, read["train"][1])
    preprocess = None
    if _is_image(builder.info.features[input_feature]):
        preprocess = ImagePreprocess(image_size, resize)
    parts = {
        part: _split(
            *pair, labels, part, preprocess=preprocess, batch_size=batch_size
        )
        for part, pair in read.items()
    }
    notes += [
        f"No example of {part} has a label, so it is not used."
        for part, split in parts.items()
        if split is None
    ]
    return Splits.from_parts(
        parts,
        validation=validation,
        seed=seed,
        source=f"tfds:{builder.info.full_name}",
        notes=notes,
    )


def _slices(builder, given: dict[str, str | None]) -> dict[str, str]:
    """Says which slice of the data is which part."""
    known = list(builder.info.splits)
    slices = {}
    for part, asked in given.items():
        named = [name for name in known if part_of(name) == part]
        sliced = asked or next(iter(named), None)
        whole = sliced and sliced.split("[")[0]
        if asked and known and "+" not in asked and whole not in known:
            raise DataError(
                f"{builder.info.full_name} has no split '{whole}'"
                f" (`{part}_split`). Its splits are {known}."
                f"{nearest(whole, known)}"
            )
        if sliced:
            slices[part] = sliced
    if "train" not in slices and len(known) < 2:
        slices["train"] = known[0] if known else "train"
    if "train" not in slices:
        raise DataError(
            f"{builder.info.full_name} has no split called train; say which"
            f" by train_split=... Its splits are {known}."
        )
    return slices


def _features(
    info, input_feature: str | None, label_feature: str | None
) -> tuple[str, str, list[str]]:
    """Says which features are input and label, and what was guessed."""
    import tensorflow_datasets as tfds

    features = dict(info.features)
    for name in (input_feature, label_feature):
        if name is not None and name not in features:
            raise DataError(
                f"{info.full_name} has no feature '{name}'. Its features are"
                f" {list(features)}.{nearest(name, features)}"
            )
    keys = info.supervised_keys or (None, None)
    is_plain = len(keys) == 2 and all(isinstance(key, str) for key in keys)
    first, second = keys if is_plain else (None, None)
    images = [name for name, f in features.items() if _is_image(f)]
    texts = [name for name, f in features.items() if _is_text(f)]
    classes = [
        name
        for name, f in features.items()
        if isinstance(f, tfds.features.ClassLabel)
    ]
    found_input = input_feature or first or _only(images) or _only(texts)
    found_label = label_feature or second or _only(classes)
    notes = []
    for role, name, is_sure in (
        ("input", found_input, input_feature or first),
        ("label", found_label, label_feature or second),
    ):
        if name is None:
            raise DataError(
                f"{info.full_name} has not just one feature that may be the"
                f" {role}. Say which by {role}_feature=... Its features are"
                f" {list(features)}."
            )
        if not is_sure:
            notes.append(f"Feature '{name}' was taken for the {role}.")
    if found_input not in images + texts:
        raise DataError(
            f"Feature '{found_input}' of {info.full_name} is neither a picture"
            f" nor a text. Pictures are {images}, texts {texts}."
        )
    return found_input, found_label, notes


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _is_image(feature) -> bool:
    import tensorflow_datasets as tfds

    is_mask = isinstance(feature, tfds.features.LabeledImage)
    return isinstance(feature, tfds.features.Image) and not is_mask


def _is_text(feature) -> bool:
    return feature.dtype in (str, tf.string, np.object_) and (
        getattr(feature, "shape", None) == ()
    )


def _read(
    builder, sliced: str, input_feature: str, label_feature: str
) -> tf.data.Dataset:
    """Reads pairs of encoded picture or text, and label, in fixed order."""
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(
        split=sliced,
        shuffle_files=False,
        decoders={
            name: tfds.decode.SkipDecoding()
            for name, feature in builder.info.features.items()
            if isinstance(feature, tfds.features.Image)
        },
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    return examples.map(lambda row: (row[input_feature], row[label_feature]))


def _labels(info, feature: str, values: np.ndarray) -> Labels:
    import tensorflow_datasets as tfds

    kind = info.features[feature]
    if isinstance(kind, tfds.features.ClassLabel):
        return Labels(tuple(kind.names))
    if values.ndim == 1 and values.dtype.kind == "f":
        return Labels((feature,), "regression")
    if values.ndim != 1:
        raise DataError(
            f"Feature '{feature}' of {info.full_name} is not one label for"
            f" each example: {kind}"
        )
    return find_labels(values)


def _split(
    examples: tf.data.Dataset,
    values: np.ndarray,
    labels: Labels,
    part: str,
    **settings,
) -> Split | None:
    """Makes a part; TFDS marks examples without a label by -1."""
    known = np.arange(len(values))
    if labels.are_classes and values.dtype.kind in "iu":
        known = np.flatnonzero(values >= 0)
        values = np.maximum(values, 0)
    if not len(known):
        return None
    split = Split(
        examples,
        to_targets(values, labels, part),
        labels,
        names=tuple(f"{part}/{i}" for i in range(len(values))),
        **settings,
    )
    return split if len(known) == len(split) else split.take(known)
