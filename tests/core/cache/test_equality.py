"""Training on cached features is the same mathematics as without."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_pictures
from tests.core.cache import networks
from tltf.core.fit import fit
from tltf.core.labels import Labels
from tltf.core.preprocess import ImagePreprocess
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.core.stage import Stage

# Adam makes steps of full length of gradients that are zero but for rounding,
# such as those of the bias of attention's keys; SGD does not.
SGD = {"optimizer": "sgd"}
BLOCK = Stage(1, 2, 1e-2, **SGD)


def trained(model, splits, recipe, **settings):
    """Trains a copy; returns its figures, its weights, and the run."""
    copy = networks.twin(model)
    run = fit(copy, splits, recipe=recipe, **settings)
    figures = {k: v for k, v in run.history.items() if k != "seconds"}
    return figures, copy.get_weights(), run


def assert_cache_changes_nothing(model, splits, recipe, **settings):
    plain = trained(model, splits, recipe, cache="none")
    cached = trained(model, splits, recipe, **settings)
    assert not any(stage.cached for stage in plain[2].stages)
    assert all(stage.cached for stage in cached[2].stages)
    assert plain[0].keys() == cached[0].keys()
    for name, values in plain[0].items():
        np.testing.assert_allclose(
            cached[0][name], values, rtol=1e-6, atol=1e-6, err_msg=name
        )
    for ours, theirs in zip(cached[1], plain[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    return cached[2]


def columns(folder):
    """Shapes and dtypes of all that lies in a folder."""
    found = []
    for manifest in folder.glob("*/manifest.json"):
        content = json.loads(manifest.read_text())
        found += [
            (tuple(column["shape"]), column["stored"])
            for column in content["columns"]
        ]
    return sorted(found)


@pytest.mark.parametrize(
    ("network", "crossing"),
    [
        # The branch, and what goes past it.
        (networks.drop_path, [((12, 12, 4), "float32")] * 2),
        (networks.vgg16, [((2, 2, 512), "float32")]),
        (networks.vit, [((5, 8), "float32")]),
        # The padding mask is a raw input: it is passed by, not stored.
        (networks.bert, [((6, 8), "float32")]),
        # This mask a frozen layer makes.
        (networks.masked, [((6,), "bool"), ((6, 4), "float32")]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_cached_equals_uncached(network, crossing, tmp_path):
    model, data = networks.make(network, tmp_path)
    splits = Splits.from_arrays(data, classes=CLASSES, batch_size=5)
    assert len(splits.train) % 5
    stage = BLOCK
    if network is networks.bert:
        # The topmost block, the pooler, reads no mask.
        stage = dataclasses.replace(BLOCK, unfreeze="layer_1")
    folder = tmp_path / "features"
    assert_cache_changes_nothing(
        model, splits, [stage], cache="disk", cache_dir=folder
    )
    # Of the training and of the validation part.
    assert columns(folder) == sorted(crossing * 2)


def test_cached_equals_uncached_over_stages(make_model, splits):
    """What trained and is frozen again is read with its new weights."""
    recipe = (
        Stage(0, 2, 1e-2, **SGD),
        Stage(2, 1, 0.1, name="block", **SGD),
        Stage(0, 2, 1e-2, name="again", **SGD),
        Stage(1, 1, 1e-2, name="upper", **SGD),
    )
    assert len(splits.train) % splits.train.batch_size
    run = assert_cache_changes_nothing(
        make_model(), splits, recipe, cache="memory"
    )
    assert [len(stage.blocks) for stage in run.stages] == [1, 3, 1, 2]


def png_files(folder, pictures):
    paths = []
    for i, picture in enumerate(pictures):
        path = folder / f"{i:02}.png"
        path.write_bytes(tf.io.encode_png(picture).numpy())
        paths.append(str(path))
    return np.array(paths, object)


def splits_of(kind, folder):
    """Pictures as a stream, or as files."""
    images, labels = tiny_pictures(22)
    if kind == "files":
        parts = {
            name: Split(
                png_files(folder, images[rows]),
                labels[rows],
                Labels(CLASSES),
                is_files=True,
                preprocess=ImagePreprocess((12, 12)),
                batch_size=5,
            )
            for name, rows in (
                ("train", slice(0, 17)),
                ("validation", slice(17, None)),
            )
        }
        return Splits.from_parts(parts)
    stream = tf.data.Dataset.from_tensor_slices((images, labels))
    return Splits.from_datasets(stream, classes=CLASSES, batch_size=5)


@pytest.mark.parametrize(
    ("kind", "cache"), [("stream", "disk"), ("files", "memory")]
)
def test_cached_equals_uncached_from_any_source(
    make_model, kind, cache, tmp_path
):
    (tmp_path / "pictures").mkdir()
    run = assert_cache_changes_nothing(
        make_model(),
        splits_of(kind, tmp_path / "pictures"),
        [BLOCK],
        cache=cache,
        cache_dir=tmp_path / "features",
    )
    place = "in memory" if cache == "memory" else "on disk"
    assert place in run.stages[0].notes[0]


def test_cached_equals_uncached_where_norms_train(make_model, splits):
    recipe = [
        dataclasses.replace(BLOCK, batch_norm=policy, name=policy)
        for policy in ("affine", "train", "frozen")
    ]
    assert_cache_changes_nothing(make_model(), splits, recipe, cache="memory")


def test_class_weights_hold_on_cached_features(make_model, splits):
    """And each stage has its own."""
    weights = dict(zip(CLASSES, (3.0, 0.5, 1.0), strict=True))
    recipe = [
        Stage(0, 2, 1e-2, class_weights=weights, **SGD),
        Stage(0, 1, 1e-2, class_weights="balanced", name="even", **SGD),
    ]
    assert_cache_changes_nothing(make_model(), splits, recipe, cache="memory")
