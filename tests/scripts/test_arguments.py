"""Flags and the YAML file, without training."""

import pytest
from absl import flags

from tltf.scripts import arguments
from tltf.scripts.parsers import (
    COUNT,
    TEXT,
    YES_OR_NO,
    ClassWeights,
    NumberOrName,
    OrNone,
    Size,
)


@pytest.fixture
def defined():
    defined = flags.FlagValues()
    table = {
        "data": ("", TEXT),
        "epochs": ("", COUNT),
        "learning_rate": ("", flags.FloatParser(0)),
        "unfreeze": ("", NumberOrName()),
        "image_size": ("", Size()),
        "weights": ("", OrNone()),
        "class_weights": ("", ClassWeights()),
        "overwrite": ("", YES_OR_NO),
    }
    arguments.define(defined, table | arguments.COMMON)
    return defined


def given(defined):
    return arguments.given(
        defined, [name for name in defined if name not in arguments.COMMON]
    )


@pytest.mark.parametrize(
    "typed, value",
    [
        ("--unfreeze=2", 2),
        ("--unfreeze=conv5", "conv5"),
        ("--unfreeze=all", "all"),
        ("--image_size=224", 224),
        ("--image_size=224,160", (224, 160)),
        ("--image_size=224x160", (224, 160)),
        ("--weights=none", None),
        ("--weights=a.weights.h5", "a.weights.h5"),
        ("--class_weights=balanced", "balanced"),
        ("--class_weights=cat=1,dog=2.5", {"cat": 1.0, "dog": 2.5}),
        ("--overwrite", True),
        ("--nooverwrite", False),
        ("--learning_rate=1e-4", 1e-4),
    ],
)
def test_values_become_what_the_argument_takes(defined, typed, value):
    assert arguments.parse(defined, [typed]) == []
    assert list(given(defined).values()) == [value]


def test_words_may_stand_between_flags(defined):
    words = arguments.parse(defined, ["a.jpg", "--epochs", "3", "b.jpg"])
    assert words == ["a.jpg", "b.jpg"]
    assert given(defined) == {"epochs": 3}


def test_only_what_was_given_is_given_and_nothing_is_kept(defined):
    arguments.parse(defined, ["--epochs=3"])
    arguments.parse(defined, ["--data=x"])
    assert given(defined) == {"data": "x"}


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--epochs=3", "--epochs=5"], "twice: 3 and 5"),
        (["--epochs=3", "--epochs=3"], "twice"),
        (["--overwrite", "--nooverwrite"], "`--overwrite` is given twice"),
        (["--epoch=3"], "'--epoch'. Did you mean '--epochs'?"),
        (["--nooverwrit"], "Did you mean '--nooverwrite'?"),
        (["--epochs=three"], "`--epochs` cannot be 'three'"),
        (["--epochs=0"], "`--epochs` cannot be '0'"),
        (["--image_size=big"], "height,width"),
        (["--class_weights=cat=much"], "cat=1,dog=3"),
        (["--epochs"], "Missing value"),
    ],
)
def test_mistakes_are_explained(defined, argv, said):
    with pytest.raises(ValueError) as caught:
        arguments.parse(defined, argv)
    assert said in str(caught.value)


def test_the_file_gives_what_was_not_typed(defined, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(
        "data: folder:a\nepochs: 3\nlearning_rate: 1e-4\nweights: null\n"
        "image_size: [32, 48]\nclass_weights: {cat: 1, dog: 2}\nunfreeze: 1\n"
    )
    arguments.parse(defined, [f"--config_file={file}", "--epochs=5"])
    assert given(defined) == {
        "data": "folder:a",
        "epochs": 5,
        "learning_rate": 1e-4,
        "weights": None,
        "image_size": (32, 48),
        "class_weights": {"cat": 1.0, "dog": 2.0},
        "unfreeze": 1,
    }


@pytest.mark.parametrize(
    "text, said",
    [
        ("epoch: 3", "Did you mean 'epochs'?"),
        ("epochs: many", "`epochs` cannot be 'many'"),
        ("- epochs", "must hold lines"),
        ("a: b: c", "no YAML"),
        ("data: off", "quote it"),
        ("debug: true", "no flag 'debug'"),
    ],
)
def test_mistakes_in_the_file_name_the_file(defined, tmp_path, text, said):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(ValueError) as caught:
        arguments.parse(defined, [f"--config_file={file}"])
    assert said in str(caught.value) and str(file) in str(caught.value)
