import base64
import io

import numpy as np
import PIL.Image
import pytest

from tltf.core.labels import Labels
from tltf.reports.worst import describe, show, thumbnail, wrongness

INFINITY = float("inf")


def pixels_of(uri):
    content = base64.b64decode(uri.split(",")[1])
    return np.asarray(PIL.Image.open(io.BytesIO(content)))


def test_wrong_classes_count_by_their_confidence():
    labels = Labels(("a", "b"))
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
    found = wrongness(labels, np.array([1, 1, 0]), probabilities)
    assert found.tolist() == [0.9, -INFINITY, 0.8]
    assert describe(labels, 1, probabilities[0]) == {
        "truth": "b",
        "predicted": "a",
        "probability": 0.9,
    }


def test_multi_label_mistake_is_the_worst_of_its_labels():
    labels = Labels(("red", "big", "old"), "multi_label")
    targets = np.array([[1, 0, 1], [1, 0, 0]])
    probabilities = np.array([[0.4, 0.9, 0.8], [0.9, 0.2, 0.1]])
    found = wrongness(labels, targets, probabilities)
    assert found.tolist() == [0.9, -INFINITY]
    assert describe(labels, targets[0], probabilities[0]) == {
        "truth": "not big",
        "predicted": "big",
        "probability": 0.9,
    }
    missed = describe(labels, np.array([1, 0, 0]), np.array([0.25, 0.1, 0.1]))
    assert missed == {
        "truth": "red",
        "predicted": "not red",
        "probability": 0.75,
    }


def test_regression_counts_the_largest_error():
    labels = Labels(("age", "size"), "regression")
    targets = np.array([[1.0, 2.0], [1.0, 2.0]])
    outputs = np.array([[1.5, 5.0], [1.0, 2.0]])
    found = wrongness(labels, targets, outputs)
    assert found.tolist() == [3.0, -INFINITY]
    assert describe(labels, targets[0], outputs[0])["truth"] == "age 1, size 2"


@pytest.mark.parametrize("scale", [1, 255])
def test_thumbnail_shows_the_pixels_whatever_their_range(scale):
    picture = np.zeros((10, 10, 3), "float32")
    picture[:, :5, 0] = scale
    found = pixels_of(thumbnail(picture))
    assert found.shape == (120, 120, 3)
    assert found[0, 0].tolist() == [255, 0, 0]
    assert found[0, -1].tolist() == [0, 0, 0]


def test_normalised_pixels_are_stretched():
    picture = np.full((8, 8, 1), -2.0)
    picture[4:] = 2.0
    found = pixels_of(thumbnail(picture))
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_large_pictures_become_small(channels):
    noise = np.random.default_rng(0).integers(0, 256, (600, 900, channels))
    uri = thumbnail(noise.astype("uint8"))
    assert pixels_of(uri).shape[:2] == (85, 128)
    assert len(uri) < 100_000


def test_sixteen_bit_picture_is_not_all_white():
    memory = io.BytesIO()
    grey = np.linspace(0, 65535, 100 * 100).astype("uint16").reshape(100, 100)
    PIL.Image.fromarray(grey).save(memory, "png")
    found = pixels_of(show(memory.getvalue(), "image")["image"])
    assert 100 < found.mean() < 155


def test_text_is_cut_and_bytes_are_read():
    assert show(b"caf\xc3\xa9", "text") == {"image": None, "text": "café"}
    assert show(b"\xff", None)["text"] == "�"
    assert len(show("word " * 100, "text")["text"]) == 280


def test_what_cannot_be_shown_is_left_out():
    nothing = {"image": None, "text": None}
    assert show({"token_ids": np.zeros(3)}, "text") == nothing
    assert show(np.zeros((4, 4, 7)), None) == nothing
