import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from tltf.reports import metrics


def three_classes(size=200, seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, size)
    logits = random.standard_normal((size, 3))
    logits[np.arange(size), truth] += 1
    # One decimal, so that there are ties.
    logits = logits.round(1)
    exponent = np.exp(logits)
    return truth, exponent / exponent.sum(axis=1, keepdims=True)


def test_precision_recall_and_f1_by_hand():
    truth = np.array([0, 0, 0, 1, 1])
    predicted = np.array([0, 0, 1, 1, 0])
    precision, recall, f1 = metrics.precision_recall_f1(truth, predicted, 2)
    assert precision == pytest.approx([2 / 3, 1 / 2])
    assert recall == pytest.approx([2 / 3, 1 / 2])
    assert f1 == pytest.approx([2 / 3, 1 / 2])


def test_class_figures_equal_sklearns():
    truth, probabilities = three_classes()
    predicted = probabilities.argmax(axis=1)
    rates = metrics.precision_recall_f1(truth, predicted, 3)
    expected = reference.precision_recall_fscore_support(truth, predicted)
    np.testing.assert_allclose(rates, expected[:3])
    assert metrics.balanced_accuracy(rates) == pytest.approx(
        reference.balanced_accuracy_score(truth, predicted)
    )
    assert metrics.macro_f1(rates) == pytest.approx(
        reference.f1_score(truth, predicted, average="macro")
    )
    assert metrics.accuracy(truth, predicted) == pytest.approx(
        reference.accuracy_score(truth, predicted)
    )
    np.testing.assert_array_equal(
        metrics.confusion_matrix(truth, predicted, 3),
        reference.confusion_matrix(truth, predicted),
    )


def test_class_without_examples_or_predictions_is_not_zero():
    truth, predicted = np.array([0, 0, 1]), np.array([0, 0, 0])
    precision, recall, f1 = metrics.precision_recall_f1(truth, predicted, 3)
    assert np.isnan(precision[1]) and recall[1] == 0 and f1[1] == 0
    assert np.isnan([precision[2], recall[2], f1[2]]).all()
    rates = np.stack([precision, recall, f1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.balanced_accuracy_score(truth, predicted)
    assert metrics.balanced_accuracy(rates) == expected
    assert metrics.macro_f1(rates) == pytest.approx((0.8 + 0) / 2)


def test_auc_counts_pairs_and_halves_ties():
    truth = np.array([0, 0, 1, 1])
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    ranked = metrics.ranks(scores[:, None])[:, 0]
    # Pairs: 0.4 > 0.1, 0.4 = 0.4, 0.8 > 0.1, 0.8 > 0.4.
    assert metrics.roc_auc(truth, ranked) == 3.5 / 4


def test_auc_and_average_precision_equal_sklearns_with_ties():
    truth, probabilities = three_classes()
    one_hot = np.eye(3, dtype="int8")[truth]
    ranked = metrics.ranks(probabilities)
    assert metrics.macro(metrics.roc_auc, one_hot, ranked) == pytest.approx(
        reference.roc_auc_score(truth, probabilities, multi_class="ovr")
    )
    found = metrics.macro(metrics.average_precision, one_hot, ranked)
    assert found == pytest.approx(
        reference.average_precision_score(one_hot, probabilities)
    )


def test_auc_leaves_out_a_class_that_is_missing():
    truth, probabilities = three_classes()
    keep = truth != 2
    one_hot = np.eye(3, dtype="int8")[truth[keep]]
    probabilities = probabilities[keep]
    found = metrics.macro(
        metrics.roc_auc, one_hot, metrics.ranks(probabilities)
    )
    expected = [
        reference.roc_auc_score(one_hot[:, k], probabilities[:, k])
        for k in range(2)
    ]
    assert found == pytest.approx(np.mean(expected))


def test_auc_of_one_class_is_not_defined():
    ranked = np.array([0, 1, 2])
    assert np.isnan(metrics.roc_auc(np.ones(3, int), ranked))
    assert np.isnan(metrics.average_precision(np.zeros(3, int), ranked))


def test_losses_equal_sklearns():
    truth, probabilities = three_classes()
    assert metrics.log_losses(truth, probabilities).mean() == pytest.approx(
        reference.log_loss(truth, probabilities)
    )
    one_hot = np.eye(3)[truth]
    binary = probabilities[:, :2] / probabilities[:, :2].sum(1, keepdims=True)
    keep = truth < 2
    expected = reference.brier_score_loss(truth[keep], binary[keep, 1])
    found = metrics.brier_scores(one_hot[keep, :2], binary[keep])
    assert found.mean() == pytest.approx(2 * expected)


def test_brier_score_by_hand():
    found = metrics.brier_scores(
        np.array([[1, 0, 0]]), np.array([[0.5, 0.3, 0.2]])
    )
    assert found == pytest.approx([0.25 + 0.09 + 0.04])


def test_certain_and_wrong_is_a_large_but_finite_loss():
    sure = np.array([[0.0, 1.0]], "float32")
    assert metrics.log_losses(np.array([0]), sure)[0] == pytest.approx(
        -np.log(1e-7)
    )
    found = metrics.multi_label_log_losses(np.array([[1, 1]]), sure)
    assert np.isfinite(found).all()


def test_multi_label_figures_equal_sklearns():
    random = np.random.default_rng(2)
    truth = random.integers(0, 2, (80, 4))
    probabilities = random.random((80, 4))
    predicted = (probabilities > 0.5).astype(int)
    rates = metrics.multi_label_rates(truth, predicted)
    expected = reference.precision_recall_fscore_support(truth, predicted)
    np.testing.assert_allclose(rates, expected[:3])
    losses = metrics.multi_label_log_losses(truth, probabilities)
    expected = np.mean(
        [reference.log_loss(truth[:, k], probabilities[:, k]) for k in range(4)]
    )
    assert losses.mean() == pytest.approx(expected)


def test_regression_equals_sklearns():
    random = np.random.default_rng(3)
    truth = random.standard_normal((50, 2))
    predicted = truth + random.normal(0, 0.5, (50, 2))
    mae, rmse, r2 = metrics.regression(truth, predicted)
    raw = {"multioutput": "raw_values"}
    np.testing.assert_allclose(
        mae, reference.mean_absolute_error(truth, predicted, **raw)
    )
    np.testing.assert_allclose(
        rmse, reference.root_mean_squared_error(truth, predicted, **raw)
    )
    np.testing.assert_allclose(r2, reference.r2_score(truth, predicted, **raw))


def test_r2_of_a_constant_is_not_defined():
    assert np.isnan(metrics.regression(np.ones((4, 1)), np.zeros((4, 1)))[2])


def test_every_figure_has_a_title():
    from tltf.core.labels import Labels
    from tltf.reports.measure import measure

    random = np.random.default_rng(0)
    for kind in ("binary", "categorical", "multi_label", "regression"):
        labels = Labels(("a", "b"), kind)
        targets = random.integers(0, 2, 8)
        if not labels.are_classes:
            targets = random.integers(0, 2, (8, 2))
        probabilities = np.tile([0.4, 0.6], (8, 1))
        found = measure(labels, targets, probabilities, resamples=5)["metrics"]
        assert set(found) <= set(metrics.TITLES)
