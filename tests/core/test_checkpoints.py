import json
import os

import ml_dtypes
import numpy as np
import pytest

from tltf.core import checkpoints as module
from tltf.core.checkpoints import Checkpoints

ARRAYS = {
    "many": [
        np.arange(6, dtype="float32").reshape(2, 3),
        np.float64(0.1) * np.ones(()),
        np.zeros((0, 4), "int64"),
        np.array([1.5, -2.0], ml_dtypes.bfloat16),
        np.array([[2**63]], "uint64"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
    "none": [],
}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def states(checkpoints):
    return sorted(checkpoints.path.glob("*.json"))


def arrays(checkpoints):
    return {path.name for path in checkpoints.path.glob("*.npz")}


def test_what_is_saved_comes_back_to_the_bit(checkpoints):
    state = {"loss": 0.1 + 0.2, "best": float("inf"), "name": "Ü", "none": None}
    checkpoints.save(state, ARRAYS)
    found, back = checkpoints.newest()
    assert found == state
    assert back.keys() == ARRAYS.keys()
    for a, b in zip(ARRAYS["many"], back["many"], strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.array_equal(a, b)
        b += b.dtype.type(1)  # They can be trained on.


def test_there_is_none_at_first_and_after_clearing(checkpoints):
    assert not checkpoints and checkpoints.newest() is None
    checkpoints.save({}, {})
    assert checkpoints
    checkpoints.clear()
    assert not checkpoints and not checkpoints.path.exists()


def test_two_are_kept_and_what_did_not_change_is_written_once(checkpoints):
    still = [np.ones(1000)]
    for step in range(5):
        checkpoints.save({"step": step}, {"still": still, "w": [np.ones(step)]})
        if step == 0:
            first = arrays(checkpoints)
    assert len(states(checkpoints)) == 2
    assert len(arrays(checkpoints)) == 3  # `still`, and two of `w`.
    assert len(arrays(checkpoints) & first) == 1
    assert checkpoints.newest()[0] == {"step": 4}


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_the_one_before_is_used_where_the_newest_is_truncated(
    checkpoints, cut, suffix
):
    checkpoints.save({"step": 1}, {"w": [np.arange(50.0)]})
    before = set(checkpoints.path.iterdir())
    checkpoints.save({"step": 2}, {"w": [np.arange(50.0) + 1]})
    (newest,) = (
        path
        for path in set(checkpoints.path.iterdir()) - before
        if path.suffix == f".{suffix}"
    )
    newest.write_bytes(newest.read_bytes()[:cut])
    state, found = checkpoints.newest()
    assert state == {"step": 1}
    assert np.array_equal(found["w"][0], np.arange(50.0))


def test_every_flipped_bit_is_noticed(checkpoints):
    checkpoints.save({"step": 1}, {"w": [np.arange(3.0)]})
    random = np.random.default_rng(0)
    for path in list(checkpoints.path.iterdir()):
        good = path.read_bytes()
        for place in random.integers(0, len(good), 150):
            bad = bytearray(good)
            bad[place] ^= 1 << random.integers(8)
            path.write_bytes(bad)
            assert checkpoints.newest() is None
        path.write_bytes(good)
    assert checkpoints.newest() is not None


def test_the_name_of_a_file_cannot_lead_elsewhere(checkpoints, tmp_path):
    checkpoints.save({}, {"w": [np.ones(2)]})
    (state,) = states(checkpoints)
    (stored,) = arrays(checkpoints)
    (checkpoints.path / stored).rename(tmp_path / stored)
    outer = json.loads(state.read_text())
    text = outer["content"].replace(stored, f"../{stored}")
    outer = {"content": text, "sha256": module._sha256(text)}
    state.write_text(json.dumps(outer))
    assert checkpoints.newest() is None


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_write_that_fails_costs_no_earlier_one(
    checkpoints, monkeypatch, call
):
    checkpoints.save({"step": 1}, {"w": [np.ones(2)]})
    before = sorted(checkpoints.path.iterdir())

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            checkpoints.save({"step": 2}, {"w": [np.zeros(2)]})
    assert sorted(checkpoints.path.iterdir()) == before
    assert checkpoints.newest()[0] == {"step": 1}


def test_what_a_kill_left_half_written_is_removed(checkpoints):
    checkpoints.save({}, {})
    left = checkpoints.path / ".writing-abc.npz"
    left.write_bytes(b"half")
    own = checkpoints.path / "notes.txt"
    own.write_text("mine")
    checkpoints.save({}, {})
    assert not left.exists() and own.exists()
