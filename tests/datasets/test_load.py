"""Conformance: what holds for every source."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets

from tltf import datasets
from tltf.datasets import tfds_builder


@pytest.fixture
def by_name(flowers, write, monkeypatch):
    """Gives small data of every source: `load` string and label count."""
    monkeypatch.setattr(tfds_builder, "_is_online", lambda: False)
    root = flowers({"a": 6, "b": 6}, "pictures")
    rows = [f"text {i},{i % 2}\n" for i in range(12)]
    lines = [f'{{"text": "{i}", "label": {i % 2}}}\n' for i in range(12)]
    sources = {
        "folder": f"folder:{root}/pictures",
        "csv": "csv:" + write("t.csv", "text,label\n" + "".join(rows)),
        "jsonl": "jsonl:" + write("t.jsonl", "".join(lines)),
        "tfds": "tfds:mnist",
        "demo": "demo:digits",
    }
    with tensorflow_datasets.testing.mock_data(num_examples=60):
        yield sources


@pytest.mark.parametrize("kind", ["folder", "csv", "jsonl", "tfds", "demo"])
def test_every_source_gives_sound_splits(by_name, kind):
    splits = datasets.load(by_name[kind], batch_size=5, seed=1)
    assert splits.source.startswith(f"{kind}:")
    for part in splits.parts.values():
        assert part.labels == splits.labels
        assert part.batch_size == 5
        assert part.targets.dtype == np.int32
        assert len(part.names) == len(part)
        labels = np.concatenate([y.numpy() for _, y in part])
        np.testing.assert_array_equal(labels, part.targets)
        assert sum(part.class_counts.values()) == len(part)
    names = [set(part.names) for part in splits.parts.values()]
    assert len(set.union(*names)) == sum(map(len, names))


@pytest.mark.parametrize("kind", ["folder", "tfds", "demo"])
def test_every_source_of_pictures_takes_a_size(by_name, kind):
    splits = datasets.load(by_name[kind], image_size=(9, 7), resize="pad")
    images, _ = next(iter(splits.train))
    assert images.shape[1:] == (9, 7, 3)
    assert images.dtype == "float32"


def test_every_name_has_a_test(by_name):
    assert [n.partition(":")[0] for n in datasets.names()] == list(by_name)


def test_unknown_sources_offer_the_nearest(tmp_path, write):
    with pytest.raises(ValueError, match="mean 'folder'"):
        datasets.load("foldr:x")
    with pytest.raises(ValueError, match=f"mean 'folder:{tmp_path}'"):
        datasets.load(str(tmp_path))
    with pytest.raises(ValueError, match=r"mean 'csv:r\.csv'"):
        datasets.load("r.csv")
    with pytest.raises(ValueError, match="must be one of"):
        datasets.load("folder:")


def test_arguments_of_another_source_are_errors():
    with pytest.raises(TypeError, match="belongs to csv, jsonl"):
        datasets.load("folder:x", text_column="a")
    with pytest.raises(TypeError, match="mean 'validation'"):
        datasets.load("folder:x", validaton=0.1)
    with pytest.raises(TypeError, match="do not take `form`"):
        datasets.load("csv:x", form="jsonl")


def test_options_reach_the_source(write):
    file = write("t.csv", "a,b\n" + "x,0\ny,1\n" * 10)
    splits = datasets.load(
        f"csv:{file}", text_column="a", label_column="b", validation=0.5
    )
    assert len(splits.validation) == 10


def test_naming_the_sources_loads_nothing_heavy():
    program = (
        "import sys; from tltf import datasets; datasets.names();"
        " assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
