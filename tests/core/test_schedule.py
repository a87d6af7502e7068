import math

import numpy as np
import pytest

from tltf.core.schedule import Schedule


def rates(steps, shape, peak=0.01, **more):
    schedule = Schedule(peak, steps, shape, **more)
    return np.array([float(schedule(step)) for step in range(steps + 1)])


def test_slanted_triangle_is_the_papers():
    found = rates(100, "slanted_triangular")
    assert found[0] == pytest.approx(3.125e-4)
    assert found[10] == pytest.approx(0.01)
    assert found[100] == pytest.approx(3.125e-4)
    # Howard & Ruder 2018, eq. 3, as printed: cut = 10, ratio = 32.
    for t in range(101):
        cut = math.floor(100 * 0.1)
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / 0.1 - 1))
        assert found[t] == pytest.approx(0.01 * (1 + p * 31) / 32, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 9, 19, 33, 101])
def test_slanted_triangle_never_falls_below_its_lowest(steps):
    assert rates(steps, "slanted_triangular").min() >= 0.01 / 32 * 0.9999


def test_one_cycle_has_fastais_corners():
    found = rates(100, "one_cycle", peak=1.0)
    assert found[0] == pytest.approx(1 / 25)
    assert found[25] == pytest.approx(1.0)
    assert found[100] == pytest.approx(1e-5, rel=1e-2)
    assert found.max() == found[25]


def test_cosine_with_warmup():
    found = rates(100, "cosine", peak=1.0, warmup=0.1)
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10, rtol=1e-6)
    expected = (1 + np.cos(np.pi * np.arange(91) / 90)) / 2
    np.testing.assert_allclose(found[10:], expected, atol=1e-6)


def test_constant_is_constant_and_first_step_shifts():
    assert set(rates(5, "constant", peak=1.0)) == {1.0}
    late = Schedule(1.0, 10, "cosine", first_step=7)
    assert float(late(7)) == 1.0
    assert float(late(17)) == pytest.approx(0.0, abs=1e-7)


def test_unknown_shape_offers_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        Schedule(1.0, 10, "cosin")
