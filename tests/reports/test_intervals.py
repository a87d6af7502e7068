import numpy as np
import pytest
from scipy import stats

from tltf.reports.calibration import calibration
from tltf.reports.draws import Draws
from tltf.reports.intervals import bootstrap, wilson


def test_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).standard_normal(400)
    low, high = bootstrap(np.mean, [values], resamples=4000)
    error = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - error, abs=0.01)
    assert high == pytest.approx(values.mean() + error, abs=0.01)


def test_interval_equals_scipys():
    values = np.random.default_rng(1).exponential(size=100)
    low, high = bootstrap(np.median, [values], resamples=4000)
    expected = stats.bootstrap(
        [values], np.median, method="percentile", n_resamples=4000, rng=0
    ).confidence_interval
    assert low == pytest.approx(expected.low, abs=0.02)
    assert high == pytest.approx(expected.high, abs=0.02)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        right = random.random(80) < 0.8
        low, high = bootstrap(np.mean, [right], resamples=200, level=0.9)
        covered += low <= 0.8 <= high
    assert 0.84 < covered / 300 < 0.95


def test_same_seed_same_interval_and_arrays_stay_together():
    a = np.arange(50)
    found = bootstrap(lambda x, y: abs(x - y).max(), [a, a], resamples=20)
    assert found == (0, 0)
    assert bootstrap(np.mean, [a], seed=3) == bootstrap(np.mean, [a], seed=3)
    assert bootstrap(np.mean, [a], seed=3) != bootstrap(np.mean, [a], seed=4)


def test_resamples_without_a_class_are_left_out():
    few = np.array([1, 0, 0, 0, 0, 0])

    def share_of_first(values):
        return np.nan if not values.any() else values.mean()

    low, high = bootstrap(share_of_first, [few])
    assert 0 < low <= high < 1


def test_figure_that_is_mostly_undefined_has_no_interval():
    values = np.arange(5.0)

    def rarely(drawn):
        return [drawn.mean() if drawn.mean() > 3 else np.nan, drawn.mean()]

    low, high = bootstrap(rarely, [values], resamples=200)
    assert np.isnan(low[0]) and np.isnan(high[0])
    assert low[1] < high[1]


def test_arrays_of_different_length_are_an_error():
    with pytest.raises(ValueError, match="same length"):
        bootstrap(np.mean, [np.ones(3), np.ones(4)])


def test_wilson_equals_scipys_and_keeps_its_width():
    for right, size in [(0, 10), (7, 10), (10, 10), (930, 1000)]:
        low, high = wilson(right, size)
        expected = stats.binomtest(right, size).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high))
    assert wilson(20, 20)[0] < 0.85
    assert wilson(20, 20)[1] == 1


def test_costly_figures_get_fewer_resamples_and_say_so():
    draws = Draws(1000, 0)
    draws.metrics(["roc_auc"], lambda x: x.mean(), [np.zeros(1_000_000)])
    assert "100 bootstrap resamples" in draws.notes[0]
    draws = Draws(1000, 0)
    found = draws.metrics(["mae"], lambda x: x.mean(), [np.zeros(3_000_000)])
    assert np.isnan(found["mae"]["low"])
    assert "no interval" in draws.notes[0]


def test_published_example_of_the_calibration_error():
    # M. Pavlovic, "Expected Calibration Error: a step-by-step visual
    # explanation" (2023): nine confidences, three bins, ECE 0.23778.
    confidence = [0.22, 0.64, 0.92, 0.42, 0.51, 0.15, 0.70, 0.37, 0.83]
    truth = np.array([0, 1, 0, 0, 0, 1, 1, 0, 1])
    right = (np.array(confidence) > 0.5) == truth
    found = calibration(np.array(confidence), right, bins=3)
    assert found["ece"] == pytest.approx(0.23778, abs=1e-5)
    # (0, 1/3]: 0.22, 0.15; (1/3, 2/3]: 0.64, 0.42, 0.51, 0.37.
    assert [b["count"] for b in found["bins"]] == [2, 4, 3]


def test_calibration_by_hand():
    confidence = np.array([0.55, 0.65, 0.95, 1.0])
    right = np.array([1, 0, 1, 1])
    found = calibration(confidence, right, bins=10)
    # Bins (0.5, 0.6], (0.6, 0.7], (0.9, 1.0].
    expected = (0.45 + 0.65 + 2 * 0.025) / 4
    assert found["ece"] == pytest.approx(expected)
    assert found["bins"][9]["count"] == 2
    assert found["bins"][0]["accuracy"] is None


def test_upper_edge_belongs_to_the_bin_below():
    found = calibration(np.array([0.5]), np.array([1]), bins=2)
    assert [b["count"] for b in found["bins"]] == [1, 0]


def test_error_by_chance_is_that_of_calibrated_models():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 100)
    found = [
        calibration(confidence, random.random(100) < confidence)["ece"]
        for _ in range(100)
    ]
    chance = calibration(confidence, np.ones(100))["chance"]
    assert chance == pytest.approx(np.mean(found), rel=0.1)


def test_an_interval_holds_its_own_figure():
    """A figure that every resample raises would lie below its interval."""

    def ties(values):
        return 1.0 - len(np.unique(values)) / len(values)

    values = np.arange(20.0)
    low, high = bootstrap(ties, [values], resamples=50)
    assert low == ties(values) == 0.0 < high
