import numpy as np
import pytest
from sklearn import metrics as reference

from tltf.core.labels import Labels
from tltf.reports.measure import measure


def simulated(classes, size, seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, size)
    logits = random.standard_normal((size, classes))
    logits[np.arange(size), truth] += 1.5
    exponent = np.exp(logits)
    return truth, exponent / exponent.sum(axis=1, keepdims=True)


def test_two_classes_use_the_second_column_for_the_auc():
    truth, probabilities = simulated(2, 100)
    found = measure(Labels(("a", "b")), truth, probabilities, resamples=100)
    auc = found["metrics"]["roc_auc"]
    assert auc["value"] == pytest.approx(
        reference.roc_auc_score(truth, probabilities[:, 1])
    )
    assert auc["low"] < auc["value"] < auc["high"]


def test_every_interval_holds_its_value():
    truth, probabilities = simulated(4, 200)
    found = measure(Labels.of(4), truth, probabilities, resamples=200)
    for figure in found["metrics"].values():
        assert figure["low"] < figure["value"] < figure["high"]
    assert next(iter(found["metrics"])) == "accuracy"


def test_accuracy_has_wilsons_interval_where_all_is_right():
    truth = np.arange(20) % 2
    found = measure(Labels(("a", "b")), truth, np.eye(2)[truth], resamples=50)
    figure = found["metrics"]["accuracy"]
    assert (figure["value"], figure["high"]) == (1, 1)
    assert 0.8 < figure["low"] < 0.9
    assert any("All 20 examples are right" in n for n in found["notes"])


def test_missing_class_is_left_out_and_named():
    truth, probabilities = simulated(3, 90)
    keep = truth != 1
    labels = Labels(("ape", "bee", "cat"))
    found = measure(labels, truth[keep], probabilities[keep], resamples=50)
    assert np.isfinite(found["metrics"]["roc_auc"]["value"])
    assert any("No example of 'bee'" in note for note in found["notes"])
    assert np.isnan(found["per_class"][1]["recall"])
    assert found["per_class"][1]["support"] == 0


def test_auc_of_a_single_class_is_none_of_our_inventions():
    _, probabilities = simulated(2, 30)
    labels = Labels(("ape", "bee"))
    found = measure(labels, np.ones(30, int), probabilities, resamples=50)
    auc = found["metrics"]["roc_auc"]
    assert np.isnan([auc["value"], auc["low"], auc["high"]]).all()
    assert any("No example of 'ape'" in note for note in found["notes"])


def test_tiny_data_with_one_example_of_a_class_have_intervals():
    truth = np.array([0, 0, 0, 0, 1])
    p = np.array([0.1, 0.2, 0.6, 0.3, 0.7])
    found = measure(
        Labels(("a", "b")), truth, np.stack([1 - p, p], 1), resamples=300
    )
    auc = found["metrics"]["roc_auc"]
    assert auc["value"] == 1
    assert np.isfinite([auc["low"], auc["high"]]).all()


def test_baseline_is_said():
    truth, probabilities = np.array([0, 1, 1, 1]), np.full((4, 2), 0.5)
    found = measure(Labels(("a", "b")), truth, probabilities, resamples=10)
    assert "Always answering 'b' would be right in 75.0%" in found["notes"][0]


def test_multi_label_figures():
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (120, 3)).astype("float32")
    probabilities = np.clip(truth * 0.3 + random.random((120, 3)) * 0.7, 0, 1)
    labels = Labels(("a", "b", "c"), "multi_label")
    found = measure(labels, truth, probabilities, resamples=100)
    figures = found["metrics"]
    assert next(iter(figures)) == "average_precision"
    assert figures["average_precision"]["value"] == pytest.approx(
        reference.average_precision_score(truth, probabilities)
    )
    assert figures["roc_auc"]["value"] == pytest.approx(
        reference.roc_auc_score(truth, probabilities)
    )
    expected = reference.f1_score(truth, probabilities > 0.5, average="macro")
    assert figures["macro_f1"]["value"] == pytest.approx(expected)
    assert found["confusion"] is None


def test_regression_figures():
    random = np.random.default_rng(0)
    truth = random.standard_normal((80, 1))
    predicted = truth + 0.3 * random.standard_normal((80, 1))
    labels = Labels(("age",), "regression")
    found = measure(labels, truth, predicted, resamples=100)
    assert found["metrics"]["r2"]["value"] == pytest.approx(
        reference.r2_score(truth, predicted)
    )
    assert found["calibration"] is None
    assert found["per_class"][0]["mae"] == found["metrics"]["mae"]["value"]
