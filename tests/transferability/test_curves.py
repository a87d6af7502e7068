import numpy as np
import pytest
from scipy import stats

from tltf.transferability import (
    band,
    compare,
    interval,
    paired_difference,
    summarize,
)


def arms(end_of_transfer, seeds=3, epochs=4, seed=0):
    random = np.random.default_rng(seed)
    noise = 0.01 * random.standard_normal((2, seeds, epochs))
    rising = np.linspace(0, 1, epochs)
    return {
        "transfer": 0.3 + (end_of_transfer - 0.3) * rising + noise[0],
        "scratch": 0.2 + 0.4 * rising + noise[1],
    }


def test_start_slope_and_end_by_hand():
    assert summarize([0.2, 0.6, 0.7]) == pytest.approx(
        {"start": 0.2, "slope": 0.5, "end": 0.7}
    )


def test_slope_is_higher_for_a_curve_that_rises_sooner():
    soon, late = [0.2, 0.8, 0.8, 0.8], [0.2, 0.2, 0.2, 0.8]
    assert summarize(soon)["slope"] > summarize(late)["slope"]
    assert summarize(soon)["end"] == summarize(late)["end"]


def test_interval_by_the_t_table():
    # 1, 2, 3: mean 2, s 1; the table has t(0.975, 2) = 4.303.
    found = interval([1, 2, 3])
    assert found["value"] == 2
    assert found["high"] - 2 == pytest.approx(4.303 / np.sqrt(3), abs=1e-3)
    assert found["low"] == pytest.approx(4 - found["high"])


def test_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    found = [interval(random.normal(5, 2, 3), 0.9) for _ in range(2000)]
    covered = np.mean([f["low"] <= 5 <= f["high"] for f in found])
    assert covered == pytest.approx(0.9, abs=0.02)


def test_paired_difference_is_scipys_paired_t_test():
    random = np.random.default_rng(1)
    a = random.normal(0.8, 0.1, 5)
    b = a - 0.05 + random.normal(0, 0.01, 5)
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found["low"] == pytest.approx(expected.low)
    assert found["high"] == pytest.approx(expected.high)


@pytest.mark.parametrize(
    ("end", "verdict"),
    [(0.9, "helps"), (0.6, "no clear difference"), (0.4, "negative transfer")],
)
def test_verdict_follows_the_interval_at_the_end(end, verdict):
    row, baseline = compare(arms(end))
    assert row["verdict"] == verdict
    difference = row["differences"]["end"]
    excludes_zero = difference["low"] > 0 or difference["high"] < 0
    assert excludes_zero == (verdict != "no clear difference")
    assert verdict in row["sentence"]
    assert baseline["verdict"] is None
    assert baseline["differences"] is None


def test_identical_arms_make_no_difference():
    curves = arms(0.9)["transfer"]
    row, _ = compare({"same": curves, "scratch": curves})
    assert row["verdict"] == "no clear difference"


def test_one_seed_allows_no_verdict_and_says_so():
    row, _ = compare(arms(0.9, seeds=1))
    assert row["verdict"] is None
    assert row["end"]["low"] is None
    assert "one seed" in row["sentence"]


def test_band_is_the_interval_at_each_epoch():
    curves = arms(0.9)["transfer"]
    found = band(curves)
    assert found["low"][2] == interval(curves[:, 2])["low"]
    assert found["value"] == pytest.approx(curves.mean(axis=0))


def test_arms_that_cannot_be_paired_are_an_error():
    curves = arms(0.9)
    curves["transfer"] = curves["transfer"][:2]
    with pytest.raises(ValueError, match=r"same seeds.*\(2, 4\)"):
        compare(curves)


def test_unknown_baseline_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'scratch'"):
        compare(arms(0.9), baseline="scratsch")


def test_failed_run_is_an_error():
    curves = arms(0.9)
    curves["transfer"][1, 2] = np.nan
    with pytest.raises(ValueError, match=r"transfer.*1 values"):
        compare(curves)


def test_wrong_shapes_are_errors():
    with pytest.raises(ValueError, match="epochs"):
        band([0.1, 0.2])
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="at least one"):
        interval([])
